/* mail/reply.c - see reply.h. No RFC says how a reply is written, so this goes by what programs do.
 *
 * A line is known by its form and by the words of the languages that mail programs speak. An introduction may be
 * folded, so as many lines as INTRO_LINES are looked at together; it counts only where a quotation or the end follows,
 * or else a sentence that ends in "wrote:" would go. */
#include "mail/reply.h"
#include "mail/chars.h"

enum { INTRO_LINES = 4, INTRO_LONGEST = 400, HEADER_LINES = 3 };

struct reader {
    struct bytes text; /* what is left */
    struct buf *out;
    size_t start;
};

static struct bytes line_of(struct bytes text)
{
    return bytes_head(text, bytes_find(text, '\n'));
}

static struct bytes behind_line(struct bytes text)
{
    return bytes_from(text, bytes_find(text, '\n') + 1);
}

static bool is_quoted(struct bytes line)
{
    line = bytes_trim(line);
    return line.n && line.p[0] == '>';
}

/* Without the line and the empty ones behind it. */
static struct bytes next_text(struct bytes text)
{
    do {
        text = behind_line(text);
    } while (text.n && bytes_trim(line_of(text)).n == 0);
    return text;
}

static bool has_one(struct bytes line, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes_ends_nocase(line, bytes_of(words[i])))
            return true;
    return false;
}

/* ---- how a quotation is introduced ---- */

/* "On Monday, Ana <a@b> wrote:" and what it is elsewhere. Some put the verb before the name: those by their start. */
static bool ends_as_intro(struct bytes line)
{
    static const char *const ends[] = {
        "wrote:",           "writes:",  "wrote :",     "schrieb:",      "geschrieben:", "a écrit :",
        "a écrit\xC2\xA0:", "a écrit:", "escribió:",   "escribió :",    "ha scritto:",  "scrisse:",
        "escreveu:",        "schreef:", "skrev:",      "kirjoitti:",    "napisał(a):",  "napisał:",
        "napsal(a):",       "napsal:",  "napísal(a):", "a scris:",      "написал:",     "пише:",
        "писал(а):",        "пишет:",   "написав:",    "yazdı:",        "şunu yazdı:",  "írta:",
        "έγραψε:",          "写道：",   "写道:",       "のメッセージ:", "님이 작성:",   "wrote the following:",
    };

    return has_one(line, ends, sizeof ends / sizeof *ends);
}

static bool has_digit(struct bytes line)
{
    for (size_t i = 0; i < line.n; i++)
        if (char_is_digit(line.p[i]))
            return true;
    return false;
}

/* An introduction begins here: where it ends. 0: none does. A line with an address or a date and a colon at its end is
 * one in any language when a quotation follows. */
static size_t intro_length(struct bytes text)
{
    struct bytes rest = text;

    for (int i = 0; i < INTRO_LINES && rest.n; i++, rest = behind_line(rest)) {
        struct bytes line = bytes_trim(line_of(rest)), all, next;
        size_t length = (size_t)(rest.p - text.p) + line_of(rest).n;

        if (line.n == 0 || is_quoted(line) || length > INTRO_LONGEST)
            return 0;
        if (!bytes_ends(line, BYTES(":")) && !bytes_ends(line, BYTES("：")))
            continue;
        all = bytes_head(text, length);
        next = next_text(rest);
        if (ends_as_intro(line) && (next.n == 0 || is_quoted(line_of(next)) || has_digit(all)))
            return length;
        if (next.n && is_quoted(line_of(next)) && (bytes_find(all, '@') < all.n || has_digit(all)))
            return length;
    }
    return 0;
}

/* ---- what everything behind belongs to ---- */

/* "-----Original Message-----", "---------- Forwarded message ---------". */
static bool is_divider(struct bytes line)
{
    static const char *const words[] = {
        "original message",
        "forwarded message",
        "ursprüngliche nachricht",
        "weitergeleitete nachricht",
        "message d'origine",
        "message original",
        "message transféré",
        "mensaje original",
        "mensaje reenviado",
        "messaggio originale",
        "messaggio inoltrato",
        "mensagem original",
        "mensagem encaminhada",
        "oorspronkelijk bericht",
        "doorgestuurd bericht",
        "ursprungligt meddelande",
        "original meddelelse",
        "oprindelig meddelelse",
        "alkuperäinen viesti",
        "wiadomość oryginalna",
        "исходное сообщение",
        "пересылаемое сообщение",
        "původní zpráva",
        "eredeti üzenet",
        "mesaj original",
        "orijinal mesaj",
        "原始邮件",
        "邮件原件",
        "original-nachricht",
    };
    struct bytes inner = line;

    while (inner.n && char_in(inner.p[0], BYTES("-_* ")))
        inner = bytes_from(inner, 1);
    while (inner.n && char_in(inner.p[inner.n - 1], BYTES("-_* ")))
        inner.n--;
    if (inner.n == line.n || line.n - inner.n < 4)
        return false;
    if (inner.n == 0) /* Outlook's line of underscores */
        return line.n >= 20 && line.p[0] == '_';
    return has_one(inner, words, sizeof words / sizeof *words) && inner.n < 60;
}

static bool is_header_word(struct bytes name)
{
    static const char *const words[] = {
        "from",    "sent",   "date",      "to",         "cc",        "subject",   "von",     "gesendet",
        "datum",   "an",     "betreff",   "de",         "envoyé",    "à",         "objet",   "enviado",
        "para",    "asunto", "fecha",     "da",         "inviato",   "data",      "a",       "oggetto",
        "assunto", "van",    "verzonden", "aan",        "onderwerp", "från",      "skickat", "till",
        "ämne",    "fra",    "sendt",     "til",        "emne",      "lähettäjä", "od",      "wysłano",
        "do",      "temat",  "от",        "отправлено", "кому",      "тема",      "дата",    "reply-to",
        "发件人",  "收件人", "发送时间",  "主题",       "差出人",    "宛先",      "件名",    "送信日時",
    };

    name = bytes_trim(name);
    while (name.n && char_in(name.p[0], BYTES("*_ ")))
        name = bytes_from(name, 1);
    while (name.n && char_in(name.p[name.n - 1], BYTES("*_ ")))
        name.n--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bytes_equal_nocase(name, bytes_of(words[i])))
            return true;
    return false;
}

/* A copied header: at least three fields one after the other, an address or a date among them. */
static bool is_header(struct bytes text)
{
    struct bytes name, value, from = text;

    for (int i = 0; i < HEADER_LINES; i++, text = behind_line(text)) {
        struct bytes line = bytes_trim(line_of(text)), wide = bytes_head(line, 40);
        const char *colon = wide.n ? memmem(wide.p, wide.n, "：", 3) : NULL;

        if (bytes_cut(wide, ':', &name, &value) ? !is_header_word(name)
                                                : !colon || !is_header_word(bytes_head(wide, (size_t)(colon - wide.p))))
            return false;
    }
    from = bytes_head(from, (size_t)(text.p ? text.p - from.p : (ptrdiff_t)from.n));
    return bytes_find(from, '@') < from.n || has_digit(from);
}

static bool is_signature(struct bytes line)
{
    static const char *const starts[] = {
        "sent from my ",     "sent from mail for", "sent from outlook", "sent from yahoo",      "get outlook for ",
        "von meinem ",       "gesendet von mail",  "gesendet mit der",  "envoyé de mon ",       "envoyé depuis mon ",
        "enviado desde mi ", "enviado do meu ",    "inviato da ",       "verstuurd vanaf mijn", "skickat från min",
        "sendt fra min",     "lähetetty ",         "wysłane z ",        "отправлено с ",
    };

    if (bytes_equal(line, BYTES("-- ")) || bytes_equal(bytes_trim(line), BYTES("--")))
        return true;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (bytes_starts_nocase(line, bytes_of(starts[i])) && line.n < 80)
            return true;
    return false;
}

static bool ends_all(struct bytes text, bool begun)
{
    struct bytes line = line_of(text);

    return (begun && is_signature(line)) || is_divider(bytes_trim(line)) || is_header(text);
}

void reply_strip(struct bytes text, struct buf *out)
{
    size_t start = out->n;
    struct bytes rest = text;

    while (rest.n && !out->overflowed && !ends_all(rest, out->n > start)) {
        struct bytes line = line_of(rest);
        size_t intro = is_quoted(line) ? line.n : intro_length(rest);

        if (!intro && (line.n || out->n > start)) {
            buf_add(out, line);
            buf_addc(out, '\n');
        }
        rest = bytes_from(rest, (intro ? intro : line.n) + 1);
    }
    while (out->n > start && char_is_blank(out->p[out->n - 1]))
        out->n--;
    if (out->n == start)
        buf_add(out, bytes_trim(text));
    if (out->n > start)
        buf_addc(out, '\n');
}
