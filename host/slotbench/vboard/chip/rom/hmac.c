/* What is made of the digests: HMAC (RFC 2104), PBKDF2 (RFC 8018), the key expansion of 802.11i. Prototypes as in wpa_supplicant. */
#include "rom.h"

enum { BLOCK = 64, MD5_BYTES = 16, SHA1_BYTES = 20, MOST_PARTS = 6 };

void md5_vector(u32 parts, const u8 *const *data, const u32 *bytes, u8 *digest)
{
    struct md5 md5;

    MD5Init(&md5);
    for (u32 i = 0; i < parts; i++)
        MD5Update(&md5, data[i], bytes[i]);
    MD5Final(digest, &md5);
}

void sha1_vector(u32 parts, const u8 *const *data, const u32 *bytes, u8 *digest)
{
    struct sha1 sha1;

    SHA1Init(&sha1);
    for (u32 i = 0; i < parts; i++)
        SHA1Update(&sha1, data[i], bytes[i]);
    SHA1Final(digest, &sha1);
}

typedef void digest_function(u32 parts, const u8 *const *data, const u32 *bytes, u8 *digest);

static void hmac(
    digest_function *digest, u32 digest_bytes, const u8 *key, u32 key_bytes, u32 parts, const u8 *const *data,
    const u32 *bytes, u8 *mac)
{
    u8 pad[BLOCK], hashed[SHA1_BYTES];
    const u8 *all[MOST_PARTS] = {pad};
    u32 lengths[MOST_PARTS] = {BLOCK};

    if (parts >= MOST_PARTS)
        return;
    if (key_bytes > BLOCK) {
        digest(1, &key, &key_bytes, hashed);
        key = hashed;
        key_bytes = digest_bytes;
    }
    for (u32 i = 0; i < BLOCK; i++)
        pad[i] = (i < key_bytes ? key[i] : 0) ^ 0x36;
    for (u32 i = 0; i < parts; i++) {
        all[i + 1] = data[i];
        lengths[i + 1] = bytes[i];
    }
    digest(parts + 1, all, lengths, mac);
    for (u32 i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5C;
    all[1] = mac;
    lengths[1] = digest_bytes;
    digest(2, all, lengths, mac);
}

void hmac_md5_vector(const u8 *key, u32 key_bytes, u32 parts, const u8 *const *data, const u32 *bytes, u8 *mac)
{
    hmac(md5_vector, MD5_BYTES, key, key_bytes, parts, data, bytes, mac);
}

void hmac_md5(const u8 *key, u32 key_bytes, const u8 *data, u32 bytes, u8 *mac)
{
    hmac_md5_vector(key, key_bytes, 1, &data, &bytes, mac);
}

void hmac_sha1_vector(const u8 *key, u32 key_bytes, u32 parts, const u8 *const *data, const u32 *bytes, u8 *mac)
{
    hmac(sha1_vector, SHA1_BYTES, key, key_bytes, parts, data, bytes, mac);
}

void hmac_sha1(const u8 *key, u32 key_bytes, const u8 *data, u32 bytes, u8 *mac)
{
    hmac_sha1_vector(key, key_bytes, 1, &data, &bytes, mac);
}

/* HMAC of label, a zero byte, data and a counter, as often as it takes. */
int sha1_prf(const u8 *key, u32 key_bytes, const char *label, const u8 *data, u32 data_bytes, u8 *to, u32 bytes)
{
    u8 counter = 0, mac[SHA1_BYTES];
    const u8 *parts[3] = {(const u8 *)label, data, &counter};
    u32 lengths[3] = {(u32)strlen(label) + 1, data_bytes, 1};

    for (u32 done = 0; done < bytes; done += SHA1_BYTES, counter++) {
        hmac_sha1_vector(key, key_bytes, 3, parts, lengths, mac);
        memcpy(to + done, mac, bytes - done < SHA1_BYTES ? bytes - done : SHA1_BYTES);
    }
    return 0;
}

static void pbkdf2_block(
    const u8 *secret, u32 secret_bytes, const u8 *salt, u32 salt_bytes, u32 iterations, u32 number, u8 *block)
{
    u8 counter[4] = {(u8)(number >> 24), (u8)(number >> 16), (u8)(number >> 8), (u8)number}, mac[SHA1_BYTES];
    const u8 *parts[2] = {salt, counter};
    u32 lengths[2] = {salt_bytes, 4};

    hmac_sha1_vector(secret, secret_bytes, 2, parts, lengths, mac);
    memcpy(block, mac, SHA1_BYTES);
    while (--iterations > 0) {
        hmac_sha1(secret, secret_bytes, mac, SHA1_BYTES, mac);
        for (u32 i = 0; i < SHA1_BYTES; i++)
            block[i] ^= mac[i];
    }
}

/* A network's key out of its passphrase and name. */
int pbkdf2_sha1(const char *secret, const char *salt, u32 salt_bytes, u32 iterations, u8 *to, u32 bytes)
{
    u8 block[SHA1_BYTES];
    u32 number = 1;

    for (u32 done = 0; done < bytes; done += SHA1_BYTES) {
        pbkdf2_block((const u8 *)secret, (u32)strlen(secret), (const u8 *)salt, salt_bytes, iterations, number++, block);
        memcpy(to + done, block, bytes - done < SHA1_BYTES ? bytes - done : SHA1_BYTES);
    }
    return 0;
}
