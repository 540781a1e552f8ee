"""Names of the pages and results that people read, and of what pages are made of."""

# results/<dataset>/
COMPARISON_JSON, COMPARISON_MD = "comparison.json", "comparison.md"
SIGNIFICANCE_JSON, SLICES_JSON = "significance.json", "slices.json"
VALIDATION_JSON, VALIDATION_MD = "validation.json", "validation.md"
FACTORS_JSON, FACTORS_MD, FACTORS_SVG = "factors.json", "factors.md", "factors.svg"
REPORT_FILE = "report.html"
BENCHMARK_JSON, BENCHMARK_MD = "benchmark.json", "benchmark.md"

# results/<dataset>/<model>/
EXPLANATIONS_FILE = "explanations.json"
CELLS_FOLDER, TRIALS_FILE = "sweep", "sweep_trials.json"  # a file per cell in the folder
SWEEP_JSON, SWEEP_MD = "sweep.json", "sweep.md"
TUNE_JSON, TUNE_MD = "tune.json", "tune.md"

# results/<dataset>/study/, beside a folder per cell with the files of a model
TABLES_JSON, TABLES_TEX = "tables.json", "tables.tex"
EXAMPLES_FILE, PAGE_MD, TIMES_FILE = "examples.parquet", "report.md", "times.txt"
FIGURES_FOLDER = "figures"
