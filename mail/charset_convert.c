/* mail/charset_convert.c - the charsets that iconv knows.
 *
 * Opening a converter takes longer than a word takes to convert, so they are kept: as many as there were threads that
 * used one at once, at most KEPT. iconv stops at each wrong byte; how many of them to pass over is ours to say, and
 * never an ASCII byte behind a lead byte, since that may end a line or a tag. */
#include "mail/chars.h"
#include "mail/charset.h"
#include <errno.h>
#include <iconv.h>
#include <pthread.h>

enum { STEP = 1024, KEPT = 8 };

/* What iconv calls them, and how many bytes a wrong character has. PAIR: a lead byte and what is no ASCII behind it. */
enum shape { SINGLE, PAIR, TWO, FOUR };

static const struct {
    const char *name;
    enum shape shape;
    unsigned char lead; /* of a PAIR: the first byte that may lead one */
} names[CHARSETS] = {
    [CHARSET_BIG5] = { "BIG5-HKSCS", PAIR, 0x81 },
    [CHARSET_CP437] = { "CP437", SINGLE, 0 },
    [CHARSET_CP775] = { "CP775", SINGLE, 0 },
    [CHARSET_CP850] = { "CP850", SINGLE, 0 },
    [CHARSET_CP852] = { "CP852", SINGLE, 0 },
    [CHARSET_CP858] = { "CP858", SINGLE, 0 },
    [CHARSET_EUC_JP] = { "EUC-JP-MS", PAIR, 0x8E },
    [CHARSET_EUC_KR] = { "CP949", PAIR, 0x81 },
    [CHARSET_GB18030] = { "GB18030", PAIR, 0x81 },
    [CHARSET_IBM866] = { "IBM866", SINGLE, 0 },
    [CHARSET_ISO_2022_KR] = { "ISO-2022-KR", SINGLE, 0 },
    [CHARSET_ISO_8859_2] = { "ISO-8859-2", SINGLE, 0 },
    [CHARSET_ISO_8859_3] = { "ISO-8859-3", SINGLE, 0 },
    [CHARSET_ISO_8859_4] = { "ISO-8859-4", SINGLE, 0 },
    [CHARSET_ISO_8859_5] = { "ISO-8859-5", SINGLE, 0 },
    [CHARSET_ISO_8859_6] = { "ISO-8859-6", SINGLE, 0 },
    [CHARSET_ISO_8859_7] = { "ISO-8859-7", SINGLE, 0 },
    [CHARSET_ISO_8859_8] = { "ISO-8859-8", SINGLE, 0 },
    [CHARSET_ISO_8859_10] = { "ISO-8859-10", SINGLE, 0 },
    [CHARSET_ISO_8859_13] = { "ISO-8859-13", SINGLE, 0 },
    [CHARSET_ISO_8859_14] = { "ISO-8859-14", SINGLE, 0 },
    [CHARSET_ISO_8859_15] = { "ISO-8859-15", SINGLE, 0 },
    [CHARSET_ISO_8859_16] = { "ISO-8859-16", SINGLE, 0 },
    [CHARSET_KOI8_R] = { "KOI8-R", SINGLE, 0 },
    [CHARSET_KOI8_U] = { "KOI8-U", SINGLE, 0 },
    [CHARSET_MACINTOSH] = { "MACINTOSH", SINGLE, 0 },
    [CHARSET_MAC_CE] = { "MAC-CENTRALEUROPE", SINGLE, 0 },
    [CHARSET_MAC_CYRILLIC] = { "MAC-CYRILLIC", SINGLE, 0 },
    [CHARSET_SHIFT_JIS] = { "CP932", PAIR, 0x81 },
    [CHARSET_TCVN] = { "TCVN5712-1", SINGLE, 0 },
    [CHARSET_UTF_7] = { "UTF-7", SINGLE, 0 },
    [CHARSET_UTF_16BE] = { "UTF-16BE", TWO, 0 },
    [CHARSET_UTF_16LE] = { "UTF-16LE", TWO, 0 },
    [CHARSET_UTF_32] = { "UTF-32", FOUR, 0 },
    [CHARSET_UTF_32BE] = { "UTF-32BE", FOUR, 0 },
    [CHARSET_UTF_32LE] = { "UTF-32LE", FOUR, 0 },
    [CHARSET_VISCII] = { "VISCII", SINGLE, 0 },
    [CHARSET_WINDOWS_874] = { "CP874", SINGLE, 0 },
    [CHARSET_WINDOWS_1250] = { "CP1250", SINGLE, 0 },
    [CHARSET_WINDOWS_1251] = { "CP1251", SINGLE, 0 },
    [CHARSET_WINDOWS_1253] = { "CP1253", SINGLE, 0 },
    [CHARSET_WINDOWS_1254] = { "CP1254", SINGLE, 0 },
    [CHARSET_WINDOWS_1255] = { "CP1255", SINGLE, 0 },
    [CHARSET_WINDOWS_1256] = { "CP1256", SINGLE, 0 },
    [CHARSET_WINDOWS_1257] = { "CP1257", SINGLE, 0 },
    [CHARSET_WINDOWS_1258] = { "CP1258", SINGLE, 0 },
};

static struct {
    iconv_t open[KEPT];
    size_t n;
    bool missing; /* this system has no such module */
} kept[CHARSETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static iconv_t converter_take(enum charset charset)
{
    iconv_t converter = (iconv_t)-1;
    bool missing;

    pthread_mutex_lock(&lock);
    if (kept[charset].n)
        converter = kept[charset].open[--kept[charset].n];
    missing = kept[charset].missing;
    pthread_mutex_unlock(&lock);
    if (converter != (iconv_t)-1 || missing)
        return converter;
    converter = iconv_open("UTF-8", names[charset].name);
    pthread_mutex_lock(&lock);
    kept[charset].missing = converter == (iconv_t)-1;
    pthread_mutex_unlock(&lock);
    return converter;
}

static void give_back(enum charset charset, iconv_t converter)
{
    bool full;

    iconv(converter, NULL, NULL, NULL, NULL); /* the next text starts anew */
    pthread_mutex_lock(&lock);
    full = kept[charset].n == KEPT;
    if (!full)
        kept[charset].open[kept[charset].n++] = converter;
    pthread_mutex_unlock(&lock);
    if (full)
        iconv_close(converter);
}

void charset_load(void)
{
    for (enum charset c = CHARSET_ISO_2022_JP + 1; c < CHARSETS; c++) {
        iconv_t converter = converter_take(c);

        if (converter != (iconv_t)-1)
            give_back(c, converter);
    }
}

/* Bytes of the wrong character at the front of `rest`. What is ASCII behind a lead byte stays: it may end a line or a
 * tag. */
static size_t wrong_length(enum charset charset, struct bytes rest)
{
    unsigned char lead = (unsigned char)rest.p[0];
    size_t most = 1;

    switch (names[charset].shape) {
    case SINGLE: return 1;
    case TWO: return rest.n < 2 ? rest.n : 2;
    case FOUR: return rest.n < 4 ? rest.n : 4;
    case PAIR: break;
    }
    if (lead < names[charset].lead || lead == 0xFF || (charset == CHARSET_SHIFT_JIS && lead > 0xFC))
        return 1;
    most = charset == CHARSET_EUC_JP && lead == 0x8F ? 3 : 2;
    for (size_t n = 1; n < most; n++)
        if (n == rest.n || !char_is_8bit(rest.p[n]))
            return n;
    return most;
}

/* The code pages of Windows leave some of 0x80 to 0x9F free: they mean themselves (WHATWG Encoding 9). */
static bool add_control(enum charset charset, char byte, struct buf *out)
{
    unsigned char c = (unsigned char)byte;

    if (charset < CHARSET_WINDOWS_874 || c < 0x80 || c > 0x9F)
        return false;
    buf_add(out, (struct bytes){ (char[]){ (char)0xC2, byte }, 2 });
    return true;
}

static void convert(enum charset charset, iconv_t converter, struct bytes text, struct buf *out)
{
    char *in = (char *)text.p;
    size_t left = text.n;

    while (left && !out->overflowed) {
        char step[STEP], *to = step;
        size_t room = sizeof step, skip = 0;
        size_t result = iconv(converter, &in, &left, &to, &room);
        int why = errno;

        buf_add(out, (struct bytes){ step, sizeof step - room });
        if (result != (size_t)-1)
            break;
        if (why == E2BIG && room < sizeof step)
            continue;
        if (add_control(charset, *in, out)) {
            skip = 1;
        } else {
            buf_add(out, CHARSET_BAD);
            skip = why == EINVAL ? left : wrong_length(charset, (struct bytes){ in, left });
        }
        in += skip;
        left -= skip;
    }
}

void charset_convert(enum charset charset, struct bytes text, struct buf *out)
{
    iconv_t converter = converter_take(charset);

    if (converter == (iconv_t)-1) {
        charset_read(CHARSET_UNKNOWN, text, out);
        return;
    }
    convert(charset, converter, text, out);
    give_back(charset, converter);
}
