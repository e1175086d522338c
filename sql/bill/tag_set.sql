-- The distinct sets of tags on the bill of a period, over all files and sources.
--
-- Rules, aliases and findings look at these few rows and join back by x_TagSetId, so that their
-- cost does not grow with the bill. The files' own sets were taken while they were read.
--
-- One row per x_TagSetId.
select
    min(BillingPeriod) as BillingPeriod,
    x_TagSetId,
    min(Tags) as Tags
from delivered_tag_set
group by x_TagSetId
order by x_TagSetId
