/* What is wired to the pins: levels that are planned for later, and parts on I2C and SPI buses, byte by byte.
 *
 * A part is the host's. It is told when the chip alone changes a pin that it watches, and answers with levels, at once or
 * at a tick to come. Two-wire and clocked buses are read here, so that the host hears of whole bytes only.
 */
#include "chip.h"

void chip_parts(struct chip *c, const struct chip_part_calls *calls, void *host)
{
    c->part_calls = *calls;
    c->part_host = host;
}

void chip_unwire(struct chip *c)
{
    c->buses = c->wires = c->plans = 0;
    c->watched = c->gpio_driven = c->adc_level = 0;
    gpio_changed(c);
}

void chip_watch(struct chip *c, u32 gpios)
{
    c->watched = gpios;
}

int chip_drive_at(struct chip *c, int gpio, int level, u64 tick)
{
    int at = c->plans;

    if (gpio < 0 || gpio >= GPIOS || at == PLANS)
        return -1;
    for (; at > 0 && c->plan[at - 1].tick > tick; at--)
        c->plan[at] = c->plan[at - 1];
    c->plan[at].tick = tick;
    c->plan[at].gpio = gpio;
    c->plan[at].level = level;
    c->plans++;
    look_around(c);
    return 0;
}

void chip_forget_plans(struct chip *c, int gpio)
{
    int kept = 0;

    for (int i = 0; i < c->plans; i++)
        if (c->plan[i].gpio != gpio)
            c->plan[kept++] = c->plan[i];
    c->plans = kept;
}

u64 parts_next(const struct chip *c)
{
    return c->plans ? c->plan[0].tick : NEVER;
}

void parts_events(struct chip *c, u64 tick)
{
    while (c->plans && c->plan[0].tick <= tick) {
        int gpio = c->plan[0].gpio, level = c->plan[0].level;

        c->plans--;
        memmove(c->plan, c->plan + 1, (size_t)c->plans * sizeof c->plan[0]);
        chip_drive(c, gpio, level);
    }
}

static u32 ask(struct chip *c, const struct bus *b, int event, u32 value)
{
    return c->part_calls.bus ? (u32)c->part_calls.bus(c->part_host, (int)(b - c->bus), event, (int)value) : 0;
}

/* I2C. The part changes SDA only while SCL is low. */

static void pull(struct chip *c, struct bus *b, int low)
{
    b->pulls = low;
    chip_drive(c, b->data, low ? 0 : -1);
}

static void send_bit(struct chip *c, struct bus *b)
{
    pull(c, b, !(b->shift >> (7 - b->bits) & 1));
}

static void i2c_clock_fell(struct chip *c, struct bus *b)
{
    int acknowledged;

    if (b->state == BUS_SENDS && b->bits < 8) {
        send_bit(c, b);
    } else if (b->bits == 8) {
        if (b->state == BUS_SENDS) {
            pull(c, b, 0);
            return;
        }
        acknowledged = ask(c, b, b->state == BUS_ADDRESS ? CHIP_BUS_START : CHIP_BUS_WRITE, b->shift) != 0;
        b->acknowledged = acknowledged;
        pull(c, b, acknowledged);
    } else if (b->bits > 8) {
        b->bits = 0;
        if (!b->acknowledged)
            b->state = BUS_ENDED;
        else if (b->state == BUS_ADDRESS)
            b->state = b->shift & 1 ? BUS_SENDS : BUS_HEARS;
        pull(c, b, 0);
        if (b->state == BUS_SENDS) {
            b->shift = ask(c, b, CHIP_BUS_READ, 0) & 0xFF;
            send_bit(c, b);
        } else {
            b->shift = 0;
        }
    }
}

static void i2c_clock_rose(struct bus *b, u32 data)
{
    if (b->bits == 8 && b->state == BUS_SENDS)
        b->acknowledged = !data;
    else if (b->bits < 8 && b->state != BUS_SENDS)
        b->shift = (b->shift << 1 | data) & 0xFF;
    b->bits++;
}

static void i2c_sees(struct chip *c, struct bus *b, u32 moved)
{
    u32 clock = c->gpio_own >> b->clock & 1, data = c->gpio_own >> b->data & 1 && !b->pulls;

    if (moved >> b->data & 1 && !(moved >> b->clock & 1) && clock && !b->pulls) {
        if (data && b->state != BUS_FREE)
            ask(c, b, CHIP_BUS_STOP, 0);
        b->state = data ? BUS_FREE : BUS_ADDRESS;
        b->bits = b->shift = 0;
        b->fresh = 1;
    } else if (moved >> b->clock & 1 && b->state != BUS_FREE && b->state != BUS_ENDED) {
        if (clock)
            i2c_clock_rose(b, data);
        else if (b->fresh)
            b->fresh = 0; /* the fall that ends the start condition */
        else
            i2c_clock_fell(c, b);
    }
}

/* SPI, most significant bit first. The part reads at the rising edge, and changes its output at the falling one. */

static int selected(const struct chip *c, const struct bus *b)
{
    return b->select < 0 || !(c->gpio_own >> b->select & 1);
}

static void spi_out(struct chip *c, struct bus *b)
{
    if (b->answer >= 0)
        chip_drive(c, b->answer, (int)(b->out >> (7 - b->bits % 8) & 1));
}

static void spi_sees(struct chip *c, struct bus *b, u32 moved)
{
    if (b->select >= 0 && moved >> b->select & 1) {
        b->bits = b->shift = 0;
        if (selected(c, b)) {
            b->out = ask(c, b, CHIP_BUS_SELECT, 0) & 0xFF;
            spi_out(c, b);
        } else {
            ask(c, b, CHIP_BUS_DESELECT, 0);
            if (b->answer >= 0)
                chip_drive(c, b->answer, -1);
        }
    }
    if (!(moved >> b->clock & 1) || !selected(c, b))
        return;
    if (c->gpio_own >> b->clock & 1) {
        b->shift = (b->shift << 1 | (c->gpio_own >> b->data & 1)) & 0xFF;
        if (++b->bits == 8) {
            b->out = ask(c, b, CHIP_BUS_EXCHANGE, b->shift) & 0xFF;
            b->bits = 0;
        }
    } else {
        spi_out(c, b);
    }
}

/* A byte that the hardware controller sends: what the selected part on those pins gives back for it. */
u32 parts_exchange(struct chip *c, u32 byte)
{
    for (int i = 0; i < c->buses; i++) {
        struct bus *b = &c->bus[i];
        u32 back = b->out;

        if (b->kind != CHIP_SPI || b->clock != HSPI_CLOCK || b->data != HSPI_MOSI || !selected(c, b))
            continue;
        b->out = ask(c, b, CHIP_BUS_EXCHANGE, byte) & 0xFF;
        return b->answer == HSPI_MISO ? back : 0xFF;
    }
    for (int i = 0; i < c->wires; i++)
        if (c->wire[i].from == HSPI_MOSI && c->wire[i].to == HSPI_MISO)
            return byte;
    return chip_pin(c, HSPI_MISO) > 0 ? 0xFF : 0;
}

static int wired(int gpio)
{
    return gpio >= 0 && gpio < GPIOS;
}

int chip_bus(struct chip *c, int kind, int clock, int data, int answer, int select)
{
    struct bus *b = &c->bus[c->buses];

    if (c->buses == BUSES || !wired(clock) || !wired(data) || answer >= GPIOS || select >= GPIOS)
        return -1;
    memset(b, 0, sizeof *b);
    b->kind = kind, b->clock = clock, b->data = data, b->answer = answer, b->select = select;
    b->out = 0xFF;
    return c->buses++;
}

/* The chip alone moved these pins; of those that it touched, it may also have let one go that stays as it is. */
void parts_see(struct chip *c, u32 moved, u32 touched)
{
    u32 own = c->gpio_own, chips = c->gpio_chips;

    for (int i = 0; i < c->buses; i++) {
        struct bus *b = &c->bus[i];

        if (b->kind == CHIP_I2C && (moved >> b->clock | moved >> b->data) & 1)
            i2c_sees(c, b, moved);
        else if (b->kind == CHIP_SPI && ((moved >> b->clock & 1) || (b->select >= 0 && moved >> b->select & 1)))
            spi_sees(c, b, moved);
    }
    if (touched & c->watched && c->part_calls.pins)
        c->part_calls.pins(c->part_host, own, chips, touched & c->watched);
}
