-- Reserve without waiting for a lock by design: the units are taken only if the shelf still has the version that was read.
-- Otherwise it is read anew. Tries are bounded.
CREATE FUNCTION reserve(
    wanted_id uuid, wanted_sku integer, wanted_customer bigint, wanted integer,
    OUT told smallint, OUT deadline_ms bigint, OUT again boolean
) LANGUAGE plpgsql AS $$
DECLARE
    shelf stock;
    deadline timestamptz;
    tries integer := 0;
BEGIN
    SELECT it.told, it.deadline_ms INTO told, deadline_ms
        FROM told_before(wanted_id, wanted_sku, wanted_customer, wanted) it;
    again := told IS NOT NULL;
    IF again THEN
        RETURN;
    END IF;

    -- What only this customer's requests meet comes first, the shelf, which all meet, last. Nobody waits in front of an
    -- empty one.
    SELECT * INTO shelf FROM stock WHERE sku = wanted_sku;
    IF wanted > shelf.units_per_customer_max THEN
        told := 3;
    ELSIF shelf.available >= wanted THEN
        INSERT INTO customers AS has VALUES (wanted_sku, wanted_customer, wanted)
            ON CONFLICT (sku, customer) DO UPDATE SET units = has.units + wanted
            WHERE has.units + wanted <= shelf.units_per_customer_max;
        told := CASE WHEN FOUND THEN 1 ELSE 3 END;
    ELSE
        PERFORM FROM customers WHERE sku = wanted_sku AND customer = wanted_customer
            AND units + wanted > shelf.units_per_customer_max;
        told := CASE WHEN FOUND THEN 3 ELSE 2 END;
    END IF;

    deadline := CASE told WHEN 1 THEN clock_timestamp() + shelf.hold_ttl END;
    INSERT INTO reservations VALUES (wanted_id, wanted_sku, wanted_customer, wanted, told, deadline)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        -- Somebody was faster with the same id.
        IF told = 1 THEN
            UPDATE customers SET units = units - wanted WHERE sku = wanted_sku AND customer = wanted_customer;
        END IF;
        SELECT it.told, it.deadline_ms, true INTO told, deadline_ms, again
            FROM told_before(wanted_id, wanted_sku, wanted_customer, wanted) it;
        RETURN;
    END IF;

    WHILE told = 1 LOOP
        UPDATE stock SET available = available - wanted, held = held + wanted, version = version + 1
            WHERE sku = wanted_sku AND version = shelf.version;
        EXIT WHEN FOUND;
        tries := tries + 1;
        IF tries = 10000 THEN
            RAISE EXCEPTION 'the shelf changed between every look and every grasp';
        END IF;
        SELECT * INTO shelf FROM stock WHERE sku = wanted_sku;
        told := CASE WHEN shelf.available >= wanted THEN 1 ELSE 2 END;
    END LOOP;
    IF told = 2 AND deadline IS NOT NULL THEN
        -- Others took the last units meanwhile.
        deadline := NULL;
        UPDATE customers SET units = units - wanted WHERE sku = wanted_sku AND customer = wanted_customer;
        UPDATE reservations SET outcome = told, expires_at = deadline WHERE id = wanted_id;
    END IF;
    deadline_ms := coalesce(floor(date_part('epoch', deadline) * 1000), 0)::bigint;
END
$$;
