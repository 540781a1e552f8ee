"""Source `sample`: a generated raw dump in Amazon's 2018 format, with known causes.

    seed, scale -> Sample.json.gz, meta_Sample.json.gz, images/<asin>.jpg, ground_truth/

People care about some factors of an item and not about others; pictures and words show both.
Because the causes are known, a test can tell a model that found them from one that did not.
"""

from pipeline.sources.sample.dump import generate

__all__ = ["generate"]
