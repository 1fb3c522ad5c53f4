-- What both ways of reserving need: the shelf, what was decided, and what each customer has.

CREATE TABLE stock (
    sku integer PRIMARY KEY,
    available bigint NOT NULL CHECK (available >= 0),
    held bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    units_per_customer_max integer NOT NULL,
    hold_ttl interval NOT NULL
    -- The hot row leaves its old versions in its own page, where they are cleared away by whoever comes next.
) WITH (fillfactor = 10);

-- Every decision, refusals too: the same id gets the same answer for ever.
CREATE TABLE reservations (
    id uuid PRIMARY KEY,
    sku integer NOT NULL,
    customer bigint NOT NULL,
    quantity integer NOT NULL,
    -- 1 granted, 2 sold out, 3 over the limit.
    outcome smallint NOT NULL,
    expires_at timestamptz
);

-- What an expiry job would go by.
CREATE INDEX reservations_due ON reservations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE customers (
    sku integer NOT NULL,
    customer bigint NOT NULL,
    units integer NOT NULL,
    PRIMARY KEY (sku, customer)
);

-- The answer that an id has been given; no row if it is new. 4: the id stands for another request. It is merged into
-- the query that calls it.
CREATE FUNCTION told_before(wanted_id uuid, wanted_sku integer, wanted_customer bigint, wanted integer)
RETURNS TABLE (told smallint, deadline_ms bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN (sku, customer, quantity) = (wanted_sku, wanted_customer, wanted) THEN outcome ELSE 4::smallint END,
        coalesce(floor(date_part('epoch', expires_at) * 1000), 0)::bigint
    FROM reservations WHERE id = wanted_id
$$;
