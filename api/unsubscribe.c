/* api/unsubscribe.c - the page behind a link by which somebody unsubscribes: one button, which does what mail programs
 * do by themselves (RFC 8058). No script, nothing from elsewhere; in the language that the reader's browser asks for,
 * where we have it. Looking changes nothing. */
#include "service/message/unsubscribe.h"
#include "api/private.h"
#include "api/request.h"
#include "mail/html_safe.h"

#define TYPE "text/html; charset=utf-8"
#define POLICY                                                                                                         \
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

static const struct texts {
    const char *language, *title, *ask, *button, *done, *done_text;
} all_texts[] = {
#define TEXTS(...) { __VA_ARGS__ },
#include "api/unsubscribe_texts.def"
#undef TEXTS
};
#define LANGUAGES (sizeof all_texts / sizeof *all_texts)

/* ---- the language ---- */

static const struct texts *texts_of(struct bytes tag)
{
    tag = bytes_head(tag, bytes_find(tag, '-'));
    for (size_t i = 0; i < LANGUAGES; i++)
        if (bytes_equal_nocase(tag, bytes_of(all_texts[i].language)))
            return &all_texts[i];
    return NULL;
}

/* "q=0.8" in thousandths; without one 1000 (RFC 9110 12.4.2). */
static int weight_of(struct bytes parameters)
{
    size_t at = bytes_find(parameters, '=');
    struct bytes value = bytes_trim(bytes_from(parameters, at + 1));
    int weight = 0, digit = 100;

    if (at >= parameters.n)
        return 1000;
    if (!value.n || value.p[0] != '0')
        return value.n ? 1000 : 0;
    for (size_t i = 2; i < value.n && digit; i++, digit /= 10)
        weight += value.p[i] >= '0' && value.p[i] <= '9' ? (value.p[i] - '0') * digit : 0;
    return weight;
}

/* What Accept-Language likes best of what we have; English where it likes none. */
static const struct texts *texts_for(struct bytes accepted)
{
    const struct texts *best = &all_texts[0];
    int most = 0;

    while (accepted.n) {
        struct bytes range, tag, parameters;
        const struct texts *t;
        int weight;

        bytes_cut(accepted, ',', &range, &accepted);
        bytes_cut(range, ';', &tag, &parameters);
        t = texts_of(bytes_trim(tag));
        weight = weight_of(parameters);
        if (t && weight > most) {
            best = t;
            most = weight;
        }
    }
    return best;
}

/* ---- the page ---- */

/* `format` has one %.*s, for the name. */
static void add_text(struct buf *out, const char *format, struct bytes name)
{
    struct bytes text = bytes_of(format), mark = BYTES("%.*s");

    for (size_t i = 0; i < text.n; i++)
        if (bytes_starts(bytes_from(text, i), mark)) {
            html_escape(name, out);
            i += mark.n - 1;
        } else {
            buf_addc(out, text.p[i]);
        }
}

static bool page(struct request *r, const struct unsubscribe_out *u)
{
    const struct texts *t = texts_for(r->accept_language);
    const char *title = u->done ? t->done : t->title;

    buf_addf(&r->out,
             "<!doctype html>\n<html lang=\"%s\">\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n"
             "<style>:root{color-scheme:light dark}body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36em;"
             "margin:3em auto;padding:0 1em}button{font:inherit;padding:.6em 1.4em;min-height:44px}</style>\n"
             "<main>\n<h1>%s</h1>\n<p>",
             t->language, title, title);
    add_text(&r->out, u->done ? t->done_text : t->ask, u->name.p ? u->name : BYTES("…"));
    buf_adds(&r->out, "</p>\n");
    if (!u->done)
        buf_addf(&r->out,
                 "<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">"
                 "<button type=\"submit\">%s</button></form>\n",
                 t->button);
    buf_adds(&r->out, "</main>\n</html>\n");
    r->status = HTTP_OK;
    r->type = TYPE;
    r->policy = POLICY;
    return true;
}

bool api_unsubscribe_get(struct request *r)
{
    const struct unsubscribe_get_in in = { .token = r->parameter[0] };
    struct unsubscribe_out out;

    return unsubscribe_get(&r->call, &in, &out) && page(r, &out);
}

static bool contains(struct bytes text, struct bytes word)
{
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (bytes_starts_nocase(bytes_from(text, i), word))
            return true;
    return false;
}

/* As a form, of either type that a program may send it in (RFC 8058 3.1). */
static bool is_one_click(struct bytes body)
{
    return contains(body, BYTES("List-Unsubscribe")) && contains(body, BYTES("One-Click"));
}

bool api_unsubscribe_post(struct request *r)
{
    const struct unsubscribe_post_in in = { .token = r->parameter[0], .one_click = is_one_click(buf_bytes(&r->x->in)) };
    struct unsubscribe_out out;

    return unsubscribe_post(&r->call, &in, &out) && page(r, &out);
}
