-- What could not be stored, with the reason, to be looked at and replayed.
--
-- Tenant and device are the names that the topic carried, known or not: a dead letter must never be
-- refused for want of a row elsewhere.

create table if not exists dead_letters (
    dead_letter_id bigint generated always as identity primary key,
    received_at timestamptz not null,
    tenant text,
    device text,
    topic text,
    payload bytea not null,
    reason text not null,
    detail text not null,
    sqlstate text,
    correlation_id text,
    status text not null default 'new' check (status in ('new', 'replayed')),
    replayed_at timestamptz
);

-- The newest of a tenant, of a reason, and of all.
create index if not exists dead_letters_tenant on dead_letters (tenant, dead_letter_id);
create index if not exists dead_letters_reason on dead_letters (reason, dead_letter_id);
