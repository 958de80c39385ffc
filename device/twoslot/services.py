# Who is asked beside the server: an NTP server and a broker. Loaded where the settings name one, until tick()
# asks them.
import twoslot

wanted = {}, 0, 0  # by startup.py: the settings, the latest date that was signed, the seq of the newest head


def open_next():
    """Have tick() ask one of them from now on: one in each call, for it takes some tenths of a second."""
    settings, floor, seq = wanted
    last = not settings.get("ntp") or not settings.get("mqtt")
    from twoslot import errors

    try:
        if settings.get("ntp"):
            from twoslot import ntp

            ntp.keep_time(settings["ntp"], floor)
        else:
            from twoslot.mqtt import subscription, client

            client.open_subscription(settings, seq)
    except (errors.FlashError, MemoryError) as e:
        # Checks go on as scheduled, without a clock or a broker.
        from twoslot import failures

        failures.log_error(e)
    settings["ntp"] = client = None
    if last:
        twoslot._pollers.remove(open_next)
    twoslot.drop("mqtt.client", "errors", "failures", *["services"] * last)
