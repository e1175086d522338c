"""How fast the road is, against what the engine itself needs. Run: `python -m benchmarks`.

A month of data is made up, the same every time: a CUR 2.0 delivery in the types AWS writes,
hourly answers of a Prometheus server, and inference calls in our own columns. Each step of the
road runs on it in a process of its own, and beside it, in the same run, its bound: a bare scan
of just the columns the step reads, a hash aggregate to its grain, and its result written as
Parquet. What is printed is seconds, bound, ratio and peak memory; then what a second run costs
when nothing changed, when one day changed, and when one file of the bill was restated.

    python -m benchmarks                                    10 million charges; about 15 minutes
    python -m benchmarks --charges 200000 --pod-hours 20000 --calls 400000       a first look
    python -m benchmarks --plot                             growth from 1 to 20 million charges
    python -m benchmarks --dialects                         each dialect, CSV.gz and Parquet
    python -m benchmarks --keep DIR                         keep the data, and use it again

Results go to `benchmarks/results/*.json` (not in git), Markdown to standard output. With
FINOPS_SHARED_DATA set, the calls of `servegen/inference_24h.parquet` there are measured too.
Nothing here is a test: a slow machine is not a fault. On a busy machine compare ratios, which
are of the same minute, not seconds.

    inputs.py    the month of data           stage.py     one step in this process, timed
    bounds.py    the bound of one step       real.py      a real day of calls, where there is one
    dialects.py  a file of each dialect, its reader and DuckDB's bare conversion of it
    __main__.py  the runs and the tables
"""
