"""params.yaml as typed, frozen values.

from pipeline import params
settings = params.load()
"""

from pipeline.params.load import load, parse
from pipeline.params.model_section import ContentModel
from pipeline.params.models import ARCHITECTURES, learning_rate
from pipeline.params.section import Name, Positive, Section
from pipeline.params.sources import (
    Amazon2023Source,
    AmazonSource,
    InterSource,
    OwnFiles,
    PublishedSplitSource,
    SampleSource,
    Source,
    TablesSource,
    TianchiSource,
)
from pipeline.params.stages import Download, Images, Ingest, KCore, Split, TimeSplit, Train
from pipeline.params.typed_file import Params
from pipeline.params.yaml_file import read

__all__ = [
    "ARCHITECTURES",
    "Amazon2023Source",
    "AmazonSource",
    "ContentModel",
    "Download",
    "Images",
    "Ingest",
    "InterSource",
    "KCore",
    "Name",
    "OwnFiles",
    "Params",
    "Positive",
    "PublishedSplitSource",
    "SampleSource",
    "Section",
    "Source",
    "Split",
    "TablesSource",
    "TianchiSource",
    "TimeSplit",
    "Train",
    "learning_rate",
    "load",
    "parse",
    "read",
]
