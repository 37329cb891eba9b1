/* mail/charset.h - text of any charset to UTF-8, for the readers of mail/ (WHATWG Encoding: labels, what a label means
 * in practice, and what becomes of bytes that are wrong).
 *
 * A label comes from a stranger: it is looked up in a table, and nothing else reaches iconv. Converters are kept and
 * shared by all threads; charset_load opens each once, so that no loop waits for the disk in the middle of a mail. */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H
#include "base/bytes.h"

enum charset {
    CHARSET_UNKNOWN, /* also no label, and US-ASCII: UTF-8 when it is that, else windows-1252 */
    CHARSET_UTF_8,
    CHARSET_WINDOWS_1252,
    CHARSET_ISO_2022_JP,
    CHARSET_BIG5,
    CHARSET_CP437,
    CHARSET_CP775,
    CHARSET_CP850,
    CHARSET_CP852,
    CHARSET_CP858,
    CHARSET_EUC_JP,
    CHARSET_EUC_KR,
    CHARSET_GB18030,
    CHARSET_IBM866,
    CHARSET_ISO_2022_KR,
    CHARSET_ISO_8859_2,
    CHARSET_ISO_8859_3,
    CHARSET_ISO_8859_4,
    CHARSET_ISO_8859_5,
    CHARSET_ISO_8859_6,
    CHARSET_ISO_8859_7,
    CHARSET_ISO_8859_8,
    CHARSET_ISO_8859_10,
    CHARSET_ISO_8859_13,
    CHARSET_ISO_8859_14,
    CHARSET_ISO_8859_15,
    CHARSET_ISO_8859_16,
    CHARSET_KOI8_R,
    CHARSET_KOI8_U,
    CHARSET_MACINTOSH,
    CHARSET_MAC_CE,
    CHARSET_MAC_CYRILLIC,
    CHARSET_SHIFT_JIS,
    CHARSET_TCVN,
    CHARSET_UTF_7,
    CHARSET_UTF_16BE,
    CHARSET_UTF_16LE,
    CHARSET_UTF_32,
    CHARSET_UTF_32BE,
    CHARSET_UTF_32LE,
    CHARSET_VISCII,
    CHARSET_WINDOWS_874,
    CHARSET_WINDOWS_1250,
    CHARSET_WINDOWS_1251,
    CHARSET_WINDOWS_1253,
    CHARSET_WINDOWS_1254,
    CHARSET_WINDOWS_1255,
    CHARSET_WINDOWS_1256,
    CHARSET_WINDOWS_1257,
    CHARSET_WINDOWS_1258,
    CHARSETS
};

#define CHARSET_LABEL_MAX 64 /* bytes of a label that are looked at */

enum charset charset_find(struct bytes label);
/* Appends `text` as valid UTF-8; line ends stay as they are. Bytes that are wrong in their
 * charset become U+FFFD: one for a broken character, however many bytes of it there are. */
void charset_decode(struct bytes label, struct bytes text, struct buf *out);
/* The same once the label was looked up. */
void charset_read(enum charset charset, struct bytes text, struct buf *out);
/* What the meta elements at the start of an HTML document say, CHARSET_UNKNOWN when they say nothing. */
enum charset charset_of_html(struct bytes html);
/* Opens every converter. Waits for the disk: before the loops start. */
void charset_load(void);

/* ---- between the files of charset*.c ---- */

/* `text` through iconv; for charsets behind CHARSET_ISO_2022_JP only. */
void charset_convert(enum charset charset, struct bytes text, struct buf *out);
void charset_jis(struct bytes text, struct buf *out);
#define CHARSET_BAD BYTES("\xEF\xBF\xBD")
#endif
