-- Begins a transaction whose commit is durable, and whose statements end within so many milliseconds.
-- Settings stricter than "on" (a standby must have it too) and "local" are the operator's choice and stay:
-- both flush to disk here before they return.
begin;
select
    set_config('statement_timeout', '{limit_ms}', true),
    set_config(
        'synchronous_commit',
        case current_setting('synchronous_commit')
            when 'off' then 'on'
            else current_setting('synchronous_commit')
        end,
        true
    )
