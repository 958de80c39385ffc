/* GPIO 0 to 15 at 0x60000300, GPIO 16 of the RTC: outputs, inputs from the host, straps, edges and levels. */
#include "chip.h"

enum {
    OUT = 0x0, OUT_SET = 0x4, OUT_CLEAR = 0x8, ENABLE = 0xC, ENABLE_SET = 0x10, ENABLE_CLEAR = 0x14, IN = 0x18,
    STATUS = 0x1C, STATUS_SET = 0x20, STATUS_CLEAR = 0x24, PIN0 = 0x28, CALIBRATE = 0x6C, CALIBRATED = 0x70,
    PERIODS_TO_26MHZ_CYCLES_NUMERATOR = 0xAE03, PERIODS_ASKED = 257,
    PULLED_DOWN = 15, GPIOS = 17,
    RTC_OUT = 0x768, RTC_ENABLE = 0x774
};
enum { RISING = 1, FALLING = 2, LOW = 4, HIGH = 5 };

static int enabled(const struct chip *c, int gpio)
{
    return gpio == 16 ? c->io[RTC_ENABLE / 4] & 1 : c->gpio_enable >> gpio & 1;
}

static int output(const struct chip *c, int gpio)
{
    return gpio == 16 ? c->io[RTC_OUT / 4] & 1 : c->gpio_out >> gpio & 1;
}

static int open_drain(const struct chip *c, int gpio)
{
    return gpio < 16 && c->io[(0x300 + PIN0 + 4 * gpio) / 4] >> 2 & 1;
}

/* The chip drives, else the host, else the pull-up (GPIO 15 has a pull-down on every board). */
int chip_pin(struct chip *c, int gpio)
{
    if (gpio < 0 || gpio >= GPIOS)
        return -1;
    if (chip_pin_driven(c, gpio))
        return output(c, gpio);
    if (c->gpio_driven >> gpio & 1)
        return (int)(c->gpio_level >> gpio & 1);
    return gpio != PULLED_DOWN;
}

int chip_pin_driven(struct chip *c, int gpio)
{
    return enabled(c, gpio) && !(open_drain(c, gpio) && output(c, gpio));
}

static u32 levels(struct chip *c)
{
    u32 all = 0;

    for (int gpio = 0; gpio < GPIOS; gpio++)
        all |= (u32)chip_pin(c, gpio) << gpio;
    return all;
}

/* Levels may have changed: note what each pin asks for, and raise the interrupt. */
void gpio_changed(struct chip *c)
{
    u32 seen = levels(c), changed = seen ^ c->gpio_seen;

    for (int gpio = 0; gpio < 16; gpio++) {
        u32 type = c->io[(0x300 + PIN0 + 4 * gpio) / 4] >> 7 & 7, high = seen >> gpio & 1, moved = changed >> gpio & 1;

        if ((type == LOW && !high) || (type == HIGH && high) || (type < LOW && moved && type & (high ? RISING : FALLING)))
            c->gpio_status |= 1u << gpio;
    }
    c->gpio_seen = seen;
    set_level(c, INT_GPIO, c->gpio_status != 0);
}

u32 gpio_read(struct chip *c, u32 at)
{
    switch (at) {
    case OUT: return c->gpio_out;
    case ENABLE: return c->gpio_enable;
    case IN: return (levels(c) & 0xFFFF) | c->straps << 16;
    case STATUS: return c->gpio_status;
    case CALIBRATED:
        return 0x80000000u
            | ((c->io[(0x300 + CALIBRATE) / 4] & 0x3FF) * PERIODS_TO_26MHZ_CYCLES_NUMERATOR / PERIODS_ASKED & 0xFFFFF);
    default: return c->io[(0x300 + at) / 4];
    }
}

void gpio_write(struct chip *c, u32 at, u32 value)
{
    switch (at) {
    case OUT: c->gpio_out = value; break;
    case OUT_SET: c->gpio_out |= value; break;
    case OUT_CLEAR: c->gpio_out &= ~value; break;
    case ENABLE: c->gpio_enable = value & 0xFFFF; break;
    case ENABLE_SET: c->gpio_enable |= value & 0xFFFF; break;
    case ENABLE_CLEAR: c->gpio_enable &= ~value; break;
    case IN: return;
    case STATUS: c->gpio_status = value & 0xFFFF; break;
    case STATUS_SET: c->gpio_status |= value & 0xFFFF; break;
    case STATUS_CLEAR: c->gpio_status &= ~value; break;
    default: c->io[(0x300 + at) / 4] = value; break;
    }
    gpio_changed(c);
}

void gpio_reset(struct chip *c)
{
    c->gpio_out = c->gpio_enable = c->gpio_status = 0;
    c->gpio_seen = levels(c);
}

void chip_drive(struct chip *c, int gpio, int level)
{
    if (gpio < 0 || gpio >= GPIOS)
        return;
    c->gpio_driven = level < 0 ? c->gpio_driven & ~(1u << gpio) : c->gpio_driven | 1u << gpio;
    c->gpio_level = level > 0 ? c->gpio_level | 1u << gpio : c->gpio_level & ~(1u << gpio);
    gpio_changed(c);
}

void chip_straps(struct chip *c, u32 mode)
{
    c->straps = mode & 7;
}
