/* GPIO 0 to 15 at 0x60000300, GPIO 16 of the RTC: outputs, inputs from the host, straps, edges and levels.
 *
 * A pin has the level that the chip drives, else the host's, else that of the pin it is wired to, else its pull-up.
 */
#include "chip.h"

enum {
    OUT = 0x0, OUT_SET = 0x4, OUT_CLEAR = 0x8, ENABLE = 0xC, ENABLE_SET = 0x10, ENABLE_CLEAR = 0x14, IN = 0x18,
    STATUS = 0x1C, STATUS_SET = 0x20, STATUS_CLEAR = 0x24, PIN0 = 0x28, PIN_LAST = 0x64, CALIBRATE = 0x6C,
    CALIBRATED = 0x70,
    PERIODS_TO_26MHZ_CYCLES_NUMERATOR = 0xAE03, PERIODS_ASKED = 257,
    RTC_OUT = 0x768, RTC_ENABLE = 0x774
};
enum { RISING = 1, FALLING = 2, LOW = 4, HIGH = 5 };

#define PULLED_UP 0x17FFFu /* all but GPIO 15, which has a pull-down on every board */

/* The pins that the chip drives, and what it drives them to. */
static u32 driven(const struct chip *c, u32 *out)
{
    *out = (c->gpio_out & 0xFFFF) | (c->io[RTC_OUT / 4] & 1) << 16;
    return (c->gpio_enable | (c->io[RTC_ENABLE / 4] & 1) << 16) & ~(c->gpio_open_drain & *out);
}

/* The levels with all that is wired to the chip; as the chip alone would have them; and which pins it drives. */
static u32 levels(const struct chip *c, u32 *own, u32 *chips)
{
    u32 out, by_chip = driven(c, &out), all;

    *chips = by_chip;
    *own = (by_chip & out) | (~by_chip & PULLED_UP);
    all = (c->gpio_driven & c->gpio_level) | (~c->gpio_driven & PULLED_UP);
    all = (by_chip & out) | (~by_chip & all);
    for (int i = 0; i < c->wires; i++)
        if (!((by_chip | c->gpio_driven) >> c->wire[i].to & 1))
            all = (all & ~(1u << c->wire[i].to)) | (all >> c->wire[i].from & 1) << c->wire[i].to;
    return all;
}

int chip_pin(struct chip *c, int gpio)
{
    u32 own, chips;

    return gpio < 0 || gpio >= GPIOS ? -1 : (int)(levels(c, &own, &chips) >> gpio & 1);
}

int chip_pin_driven(struct chip *c, int gpio)
{
    u32 out;

    return gpio >= 0 && gpio < GPIOS && driven(c, &out) >> gpio & 1;
}

/* How long each pin that moved was high, and that it moved. */
static void account(struct chip *c, u32 moved)
{
    u64 tick = now(c);

    for (; moved; moved &= moved - 1) {
        int gpio = __builtin_ctz(moved);

        if (c->gpio_seen >> gpio & 1)
            c->pin[gpio].high_ticks += tick - c->pin[gpio].since;
        c->pin[gpio].since = tick;
        c->pin[gpio].edges++;
    }
}

static void note_interrupts(struct chip *c, u32 seen, u32 moved)
{
    for (u32 left = c->gpio_watching; left; left &= left - 1) {
        int gpio = __builtin_ctz(left);
        u32 type = c->io[(0x300 + PIN0 + 4 * gpio) / 4] >> 7 & 7, high = seen >> gpio & 1;

        if ((type == LOW && !high) || (type == HIGH && high)
                || (type < LOW && moved >> gpio & 1 && type & (high ? RISING : FALLING)))
            c->gpio_status |= 1u << gpio;
    }
    set_level(c, INT_GPIO, c->gpio_status != 0);
}

/* Levels may have changed: tell the buses and the host, note what each pin asks for, and raise the interrupt. */
void gpio_changed(struct chip *c)
{
    u32 own, chips, seen = levels(c, &own, &chips), moved = seen ^ c->gpio_seen, own_moved = own ^ c->gpio_own;
    u32 touched = own_moved | (chips ^ c->gpio_chips);

    account(c, moved);
    c->gpio_seen = seen;
    c->gpio_own = own;
    c->gpio_chips = chips;
    note_interrupts(c, seen, moved);
    if (touched)
        parts_see(c, own_moved, touched);
}

u32 gpio_read(struct chip *c, u32 at)
{
    switch (at) {
    case OUT: return c->gpio_out;
    case ENABLE: return c->gpio_enable;
    case IN: return (c->gpio_seen & 0xFFFF) | c->straps << 16;
    case STATUS: return c->gpio_status;
    case CALIBRATED:
        return 0x80000000u
            | ((c->io[(0x300 + CALIBRATE) / 4] & 0x3FF) * PERIODS_TO_26MHZ_CYCLES_NUMERATOR / PERIODS_ASKED & 0xFFFFF);
    default: return c->io[(0x300 + at) / 4];
    }
}

static void configure(struct chip *c, u32 at, u32 value)
{
    u32 bit;

    c->io[(0x300 + at) / 4] = value;
    if (at < PIN0 || at > PIN_LAST)
        return;
    bit = 1u << (at - PIN0) / 4;
    c->gpio_open_drain = value >> 2 & 1 ? c->gpio_open_drain | bit : c->gpio_open_drain & ~bit;
    c->gpio_watching = value >> 7 & 7 ? c->gpio_watching | bit : c->gpio_watching & ~bit;
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
    default: configure(c, at, value); break;
    }
    gpio_changed(c);
}

void gpio_reset(struct chip *c)
{
    c->gpio_out = c->gpio_enable = c->gpio_status = c->gpio_open_drain = c->gpio_watching = 0;
    gpio_changed(c);
}

void chip_drive(struct chip *c, int gpio, int level)
{
    if (gpio < 0 || gpio >= GPIOS)
        return;
    c->gpio_driven = level < 0 ? c->gpio_driven & ~(1u << gpio) : c->gpio_driven | 1u << gpio;
    c->gpio_level = level > 0 ? c->gpio_level | 1u << gpio : c->gpio_level & ~(1u << gpio);
    gpio_changed(c);
}

int chip_wire(struct chip *c, int from, int to)
{
    if (from < 0 || from >= GPIOS || to < 0 || to >= GPIOS || c->wires == WIRES)
        return -1;
    c->wire[c->wires].from = from;
    c->wire[c->wires++].to = to;
    gpio_changed(c);
    return 0;
}

u64 chip_pin_high_ticks(struct chip *c, int gpio)
{
    if (gpio < 0 || gpio >= GPIOS)
        return 0;
    return c->pin[gpio].high_ticks + (c->gpio_seen >> gpio & 1 ? now(c) - c->pin[gpio].since : 0);
}

u64 chip_pin_edges(struct chip *c, int gpio)
{
    return gpio < 0 || gpio >= GPIOS ? 0 : c->pin[gpio].edges;
}

void chip_straps(struct chip *c, u32 mode)
{
    c->straps = mode & 7;
}
