"""The road as Dagster assets, from bill to pull request. The only place that says "dagster".

Read on in this order: bill, usage, declared, allocation, findings, showback, rightsizing,
publish. Each module is a sentence and a list; `factory.py` turns a step of
`finops_pipeline.pipeline` into an asset, `definitions.py` adds jobs and schedules.
"""

import warnings

# One run for a range of billing periods needs `backfill_policy`, which Dagster calls a beta.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
