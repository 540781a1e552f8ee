"""The paper's tables and figures again: what the stages `study_*` share.

`settings` is the section `study` of params.yaml, `cells` and `budget` the trainings that it
asks for, `printed` the paper's own numbers. The page is made of `parts`: `lead`, `show`,
`figures`, `sure`, `slices`, `explained`, `factors` and `differences` write its sections, and
`markdown` and `latex` the same for other readers.
"""
