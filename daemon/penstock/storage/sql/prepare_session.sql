-- Makes every commit of this session durable when it returns, and every statement end within $1
-- milliseconds. Settings stricter than "on" (a standby must have it too) and "local" are the operator's
-- choice and stay: both flush to disk here before they return.
select
    set_config('statement_timeout', $1, false),
    set_config(
        'synchronous_commit',
        case current_setting('synchronous_commit')
            when 'off' then 'on'
            else current_setting('synchronous_commit')
        end,
        false
    )
