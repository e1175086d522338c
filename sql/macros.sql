-- The words the other files share. Loaded before every query; paste it first in a shell.
--
-- Money is DECIMAL(38,12) everywhere. DuckDB's `/`, avg() and DECIMAL * DOUBLE are DOUBLE, so
-- money is only ever added, and divided here, on integers: one unit is 10^-12 of the currency.

-- DuckDB 2.0.0 believes of a sum over a left join that it is zero where the joined table is empty, or
-- its statistics say that nothing matches, and sorts, filters and casts by that belief:
-- docs/decisions/0029-an-optimizer-is-left-out.md.
set disabled_optimizers = 'statistics_propagation';

-- Money to whole units, exactly.
create or replace macro money_units(money) as
    cast(money * 1000000000000 as hugeint);

-- Whole units back to money, exactly.
create or replace macro units_money(units) as
    cast(cast(units as decimal(38, 0)) * cast('0.000000000001' as decimal(12, 12)) as decimal(38, 12));

-- The only division of money. Whole units of `amount` that fall to `weight` out of `total`,
-- rounded toward zero; the caller hands the rest out by largest apportion_rest(), ties by a
-- stable key. Weights are non-negative integers with total <= 10^18, so that no product
-- overflows whatever the amount: amount = q * total + r, and r * weight < 10^36.
create or replace macro apportion(amount, weight, total) as
    (amount // total) * weight + ((amount % total) * weight) // total;

-- The same in two steps, for pools with millions of consumers: what every unit of weight gets
-- and what is over, once a pool; then one division a consumer.
create or replace macro apportion_each(amount, total) as amount // total;
create or replace macro apportion_over(amount, total) as amount % total;
create or replace macro apportion_part(each, over_amount, weight, total) as
    each * weight + (over_amount * weight) // total;

-- What apportion_part() cut off, as a non-negative integer to rank by.
create or replace macro apportion_rest(part, each, over_amount, weight, total) as
    abs(over_amount * weight - (part - each * weight) * total);

-- `product // total` of a non-negative HUGEINT and a positive one, seven times as fast: estimated
-- in floating point, and what is over estimated again; both times the estimate is taken back
-- exactly, so that floating point never decides. The last term is one unit, either way.
create or replace macro quotient_near(product, total) as
    cast(floor(cast(product as double) / cast(total as double)) as hugeint);
create or replace macro quotient_twice(product, total) as
    quotient_near(product, total)
    + quotient_near(product - quotient_near(product, total) * total, total);
create or replace macro quotient(product, total) as
    quotient_twice(product, total)
    - cast(product - quotient_twice(product, total) * total < 0 as tinyint)
    + cast(product - quotient_twice(product, total) * total >= total as tinyint);

-- Money per `quantity`, rounded toward zero at 12 decimals; null when there is no quantity.
create or replace macro money_per(money, quantity) as
    units_money(money_units(money) // nullif(cast(quantity as hugeint), 0));

-- The same where only some of the calls told their quantity: what an unknown call cost is taken to be
-- the mean of all, and only the part of the known ones is divided.
create or replace macro money_per_known(money, quantity, calls, unknown_calls) as
    units_money(
        money_units(money) * (cast(calls as hugeint) - unknown_calls)
        // nullif(cast(quantity as hugeint) * calls, 0)
    );

-- What a row has in whole numbers of something that was cut into billionths, where `upto` is the sum
-- of the rows up to it: what is rounded up to it, less what is rounded before it.
create or replace macro whole_part(upto, part) as
    (upto + 500000000) // 1000000000 - (upto - part + 500000000) // 1000000000;

-- Money times a quantity, rounded half away from zero at 12 decimals; null from 9 * 10^13 on. To
-- cut 24 decimals down to 12 takes the engine ten times as long as all the rest. The product of
-- doubles is off by less than 7e-16 of itself, so where no half of the twelfth decimal is that near,
-- both round to the same, and floating point does not decide.
create or replace macro money_times(money, quantity) as case
    when abs(
            cast(money as double) * cast(quantity as double) * 1e12
            - round(cast(money as double) * cast(quantity as double) * 1e12)
        ) < 0.499999 - abs(cast(money as double) * cast(quantity as double)) * 1e-3
        then cast(cast(money as double) * cast(quantity as double) as decimal(38, 12))
    when abs(cast(money as double) * cast(quantity as double)) < 90000000000000
        then cast(money * quantity as decimal(38, 12))
end;

-- Thousandths that `part` is of `whole`, rounded down also below zero; null where there is no whole.
create or replace macro permille(part, whole) as case
    when whole > 0 then
        money_units(part) * 1000 // money_units(whole)
        - cast(
            part < 0 and (money_units(part) * 1000) % money_units(whole) <> 0 as integer
        )
end;

-- The text up to the first blank. To split a text takes ten times as long as to see that it is one.
create or replace macro first_word(words) as
    case when contains(words, ' ') then split_part(words, ' ', 1) else words end;

-- Whether a day or a time is in a month, YYYY-MM.
create or replace macro is_in_month(moment, period) as
    moment >= cast(period || '-01' as timestamp)
    and moment < cast(period || '-01' as timestamp) + interval 1 month;

-- First day that a charge for longer than a day is not for any more; null for the other charges. The
-- longest day has 25 hours. A day whose noon it covers is one of its days, so that one which ends a
-- second or a few hours before midnight loses none, and one a few hours after it gets none more.
create or replace macro charge_until_day(period_start, period_end) as case
    when period_end > period_start + interval 25 hour
        then nullif(
            cast(period_end + interval 12 hour as date),
            cast(period_start + interval 24 hour as date)
        )
end;

-- Tag and label keys that mean the same: `user:Cost-Center`, `cost_center`, `label_cost_center`.
create or replace macro normal_key(tag_key) as
    regexp_replace(
        regexp_replace(lower(trim(tag_key)), '^(user[:_]|label_)', ''), '[^a-z0-9]+', '_', 'g'
    );

-- Values that mean the same: case and outer blanks never matter, empty is missing.
create or replace macro spelt_value(value) as nullif(lower(trim(value)), '');

-- The same of a tag, a label or what a log says. Words in parentheses are ours, such as `(idle)`: who
-- writes one names nobody, or anybody could leave the showback by it.
create or replace macro normal_value(tag_value) as case
    when ends_with(rtrim(tag_value), ')') and starts_with(ltrim(tag_value), '(') then null
    else spelt_value(tag_value)
end;

-- Compute slices of a MIG device, by its resource (`nvidia_com_mig_3g_20gb`), profile (`3g.20gb`,
-- `1c.3g.20gb`: one of three slices) or product (`A100-SXM4-40GB-MIG-3g.20gb`); else null.
create or replace macro mig_slices(device) as
    try_cast(coalesce(
        nullif(regexp_extract(device, '([0-9]+)c[._][0-9]+g[._][0-9]+gb', 1), ''),
        nullif(regexp_extract(device, '([0-9]+)g[._][0-9]+gb', 1), '')
    ) as bigint);

-- Parts that a GPU is counted in: halves to tenths, sevenths (MIG), 16ths, 32nds and 48ths
-- (replicas) are whole numbers of them.
create or replace macro gpu_parts() as 10080;

-- What tokens weigh by their kind: those read from a cache are among the input.
create or replace macro token_work(
    input_tokens, cached_tokens, output_tokens, input_weight, cached_weight, output_weight
) as
    (input_tokens - cached_tokens) * input_weight + cached_tokens * cached_weight
    + output_tokens * output_weight;

-- A count as it was logged; null where it is no whole number. A cast alone makes 2 of `1.5`.
create or replace macro whole_number(told) as
    case when try_cast(told as double) = try_cast(told as bigint) then try_cast(told as bigint) end;

-- A JSON object of text as a map.
create or replace macro json_map(object) as
    cast(cast(object as json) as map(varchar, varchar));

-- Units as FOCUS writes them (UnitFormat), of the same size, so that no quantity changes. Google
-- writes words: `byte-seconds` is B-Seconds, `gibibyte month` GiB-Months. AWS and Azure shorten:
-- `Hrs` and `1 Hour` are Hours, `1K Requests` is 1000 Requests. What is not known here stays.
create or replace macro size_unit() as
    '(kilo|mega|giga|tera|peta|exa|kibi|mebi|gibi|tebi|pebi|exbi)?(byte|bit)s?';
create or replace macro time_unit() as '(second|minute|hour|day|month|year)s?';
create or replace macro capital(word) as upper(left(word, 1)) || substr(word, 2);
create or replace macro focus_size(word) as
    upper(left(regexp_extract(word, size_unit(), 1), 1))
    || case when ends_with(regexp_extract(word, size_unit(), 1), 'bi') then 'i' else '' end
    || case when regexp_extract(word, size_unit(), 2) = 'byte' then 'B' else 'b' end;
create or replace macro focus_time(word) as capital(regexp_extract(word, time_unit(), 1)) || 's';
create or replace macro focus_unit(unit) as case
    when regexp_full_match(unit, size_unit()) then focus_size(unit)
    when regexp_full_match(unit, time_unit()) then focus_time(unit)
    when regexp_full_match(unit, size_unit() || '[ -]' || time_unit())
        then focus_size(unit) || '-' || focus_time(regexp_extract(unit, '[ -](.*)$', 1))
    when regexp_full_match(unit, '(count|unit|request|token|connection|core)s?')
        then capital(rtrim(unit, 's')) || 's'
    else regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        regexp_replace(unit, '^1 ', ''), '^1K ?$', '1000 Units'), '^1K ', '1000 '),
        '(Hrs|^Hour)$', 'Hours'), '-Mo$', '-Months'), 'tokens$', 'Tokens'),
        'Lambda-GB-Second$', 'Lambda GB Seconds')
end;

-- Which price a call has, where it hangs on the length of what was sent: the largest of the known
-- thresholds that the input tokens exceed, 0 for none. 200,000 tokens are not above 200,000.
create or replace macro context_class(tokens) as
    case
        when tokens > 512000 then 512000
        when tokens > 272000 then 272000
        when tokens > 256000 then 256000
        when tokens > 200000 then 200000
        when tokens > 128000 then 128000
        when tokens > 100000 then 100000
        when tokens > 32000 then 32000
        else 0
    end;

-- Names of service tiers that mean the same; what is not said is `standard`.
create or replace macro tier_name(told) as
    case
        when coalesce(lower(trim(told)), '') in ('', 'default', 'auto', 'on_demand') then 'standard'
        else lower(trim(told))
    end;

-- The name of the key a call was made with. What looks like a key itself is never kept: of such a
-- text there are the first 64 bits of its SHA-256, which tell one key from another and no more.
create or replace macro credential_name(told) as
    case
        when trim(told) = '' then null
        when regexp_matches(
            trim(told),
            '^(?i:bearer |basic |(sk|rk|pk|gsk|xai|hf|r8|ghp|glpat|github_pat)[-_]|aiza|akia|asia|eyj)'
        )
            or regexp_matches(trim(told), '[A-Za-z0-9]{32}')
            or (not starts_with(trim(told), 'arn:') and regexp_matches(trim(told), '[A-Za-z0-9+/_=-]{40}'))
            then 'sha256:' || left(sha256(trim(told)), 16)
        else trim(told)
    end;

-- A pattern in which `*` stands for any text, for LIKE with the escape `\`.
create or replace macro like_pattern(pattern) as
    replace(
        replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'
    );

-- What calls cost by the rates of a price card, a struct with a rate for each price item, before
-- anything is divided. What was not used needs no price; what was used and has none makes it null.
create or replace macro rated(quantity, rate) as
    case when quantity = 0 then 0 else quantity * rate end;
create or replace macro call_items(
    input, cache_read, cache_write_5m, cache_write_1h, output, images, audio_ms, calls, card
) as
    rated(input - cache_read - cache_write_5m - cache_write_1h, card.input)
    + rated(cache_read, card.cache_read)
    + rated(cache_write_5m, card.cache_write_5m)
    + rated(cache_write_1h, card.cache_write_1h)
    + rated(output, card.output)
    + rated(images, card.image)
    + rated(audio_ms, card.audio_second)
    + calls * coalesce(card.call, 0);
create or replace macro call_cost(
    input, cache_read, cache_write_5m, cache_write_1h, output, images, audio_ms, calls, card
) as
    call_items(
        input, cache_read, cache_write_5m, cache_write_1h, output, images, audio_ms, calls, card
    )
    + greatest(
        calls * coalesce(card.call_minimum, 0) - call_items(
            input, cache_read, cache_write_5m, cache_write_1h, output, images, audio_ms, calls, card
        ),
        0
    );

-- What a charge of a serverless function counts, by the words of its meter and its unit: `vcpu`
-- and `memory` while it ran, `requests`, `provisioned` for memory that was kept ready and
-- `provisioned_duration` for running on it, `minimum_instances` for the time those were idle.
-- Null for anything else. Meters: AWS Lambda's usage types, Azure's meter names for Consumption and
-- Flex Consumption, the SKUs of Cloud Run.
create or replace macro component_of_words(words, unit_word) as
    case
        when contains(words, ' provisioned concurrency ')
            or contains(words, ' always ready baseline ') then 'provisioned'
        when contains(words, ' provisioned gb second ')
            or contains(words, ' always ready execution time ') then 'provisioned_duration'
        when contains(words, ' min instance ') then 'minimum_instances'
        when contains(words, ' transfer ') or contains(words, ' network ')
            or contains(words, ' snapstart ') then null
        when contains(words, ' cpu ') or contains(words, ' vcpu ') then 'vcpu'
        when contains(words, ' memory ') or contains(words, ' gb second ')
            or contains(words, ' execution time ') or contains(unit_word, 'gbsecond')
            then 'memory'
        when regexp_matches(words, ' (requests?|executions|invocations)( arm)? $')
            or unit_word in ('request', 'requests') then 'requests'
    end;
create or replace macro function_component(meter, unit) as
    component_of_words(
        ' ' || regexp_replace(lower(coalesce(meter, '')), '[^a-z0-9]+', ' ', 'g') || ' ',
        regexp_replace(lower(coalesce(unit, '')), '[^a-z0-9]+', '', 'g')
    );

-- GB-seconds and what else memory over time is counted in, as whole MiB-ms; null for other units.
create or replace macro mib_milliseconds(quantity, unit) as
    money_units(quantity) * case
        when regexp_matches(lower(unit), '(gi?b|gibibyte)[^a-z]*second')
            then cast(1024000 as hugeint)
        when regexp_matches(lower(unit), '(gi?b|gibibyte)[^a-z]*hour')
            then cast(3686400000 as hugeint)
    end // 1000000000000;

-- The cluster whose cost a pool is; null for any other pool. Names of blocks, namespaces and
-- Services have no slash in them, the cluster's may.
create or replace macro pool_cluster(pool) as coalesce(
    nullif(regexp_extract(pool, '^(node|volume)/(.+)$', 2), ''),
    nullif(regexp_extract(pool, '^(network|control_plane|load_balancer)/[^/]+/(.+)$', 2), ''),
    nullif(regexp_extract(pool, '^service/[^/]+/[^/]+/(.+)$', 1), '')
);
