-- All findings of the period, for those who want one list.
--
-- Findings of different dimensions may be about the same charges: their costs do not add up.
-- A union of whole tables is not written again: its files are links to theirs.
--
-- One row per finding and currency.
select * from untagged_spend
union all
select * from misattributed_spend
union all
select * from shared_spend
union all
select * from drift
