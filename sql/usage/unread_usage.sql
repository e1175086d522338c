-- Lines of the usage inputs that could not be read, each with its file, its row and the reason.
-- Why: nothing is dropped without a word. Of an inference log the line itself is not
-- kept, since it may hold somebody's prompt; the file and the row say where to look.
-- One row per refused line.
select
    cast($day as varchar) as x_Day,
    cast($source as varchar) as x_Source,
    x_SourceFile,
    x_SourceRow,
    x_Reason,
    x_RawRow
from refused_line
order by x_SourceFile, x_SourceRow
