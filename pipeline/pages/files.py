"""Names of the pages and result files that people or the workflow read.

A name that one stage alone writes and reads is in that stage. Columns and data files are in
pipeline/tables/schema.py, on which every stage depends.
"""

# results/<dataset>/, and a folder below it per table
COMPARISON_JSON, COMPARISON_MD, REPORT_FILE = "comparison.json", "comparison.md", "report.html"
SIGNIFICANCE_JSON, SLICES_JSON = "significance.json", "slices.json"
STUDY_JSON, STUDY_MD, STUDY_SVG = "study.json", "study.md", "study.svg"

# results/<dataset>/<model>/
EXPLANATIONS_FILE = "explanations.json"

# results/<dataset>/study/, beside the files of a comparison
TABLES_JSON, TABLES_TEX = "tables.json", "tables.tex"
EXAMPLES_FILE, TIMES_FILE = "examples.parquet", "times.txt"
