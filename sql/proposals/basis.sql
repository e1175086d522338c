-- Which billing period proposals are made from: of those that were run, the one with the most
-- measured days, the newest where two have as many. A month that has just begun would withdraw
-- last month's proposals for want of data, and bring them back a few days later.
--
-- One row: the period; none when nothing was measured.
select left(x_Day, 7) as BillingPeriod
from container_usage
where left(x_Day, 7) >= $first and left(x_Day, 7) <= $last
group by left(x_Day, 7)
order by count(distinct x_Day) desc, left(x_Day, 7) desc
limit 1
