/* The converter of pin A0, at 0x60000D50: eight samples at a time, as the SDK reads them.
 *
 * The samples are complements of eleven bits. Their lower byte begins at 21 and is stretched by 256/279: the SDK makes
 * that straight again, adds the eight, and divides by 16. Its `system_adc_read` then stretches the whole by 279/256.
 */
#include "chip.h"

enum { CONFIG = 0xD50, STATE = 7 << 24, SAMPLES = 0xD80, SAMPLES_END = 0xDA0, OFFSET = 21, STRETCH = 279, FULL = 2048 * 256 / STRETCH };

void chip_adc(struct chip *c, u32 tenths_of_mv)
{
    u32 value = (u32)(((u64)tenths_of_mv * FULL + 5000) / 10000);

    c->adc_level = value > FULL ? FULL : value;
}

static u32 sample(const struct chip *c)
{
    u32 low = c->adc_level & 0xFF;

    return ~((c->adc_level & 0x700) | ((low * 256 + STRETCH - 1) / STRETCH + OFFSET)) & 0x7FF;
}

int sar_reads(const struct chip *c, u32 at, u32 *value)
{
    if (at == CONFIG) {
        *value = c->io[at / 4] & ~(u32)STATE;
        return 1;
    }
    if (at < SAMPLES || at >= SAMPLES_END)
        return 0;
    *value = sample(c);
    return 1;
}
