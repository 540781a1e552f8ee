"""Pictures: from addresses, folders and archives to one packed table, and out of it again.

`images` fetches and packs them: `places` says where a picture may be, `fetch`, `lanes` and
`hosts` bring it and `answers` judges what came, `store`, `tars` and `archives` hold it,
`tally` counts, `table` packs. `rgb` decodes one, for whoever reads it; `distinct` reads the
table for the stage `features`.
"""
