/* api/public.c - what anybody may ask who has a link of ours in a mail: no key, no cookie, and no word of whose mail it
 * is. What goes wrong is told by a page, since a person may have followed the link. */
#include "api/request.h"
#include "service/message/tracking.h"

/* GIF89a of one transparent point. */
static const char point[] = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF!\xF9\x04\x01\x00\x00\x00\x00,"
                            "\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00;";

/* What a browser says of a request that nobody waits for yet: Sec-Purpose and its forerunners. */
static bool is_ahead(struct bytes purpose)
{
    static const char *const words[] = { "prefetch", "prerender", "preview" };

    for (size_t i = 0; i < purpose.n; i++)
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (bytes_starts_nocase(bytes_from(purpose, i), bytes_of(words[k])))
                return true;
    return false;
}

static struct tracking_reader reader_of(const struct request *r)
{
    return (struct tracking_reader){ .agent = r->user_agent,
                                     .ahead = is_ahead(r->purpose),
                                     .only_looks = strcmp(r->method, "HEAD") == 0 };
}

bool api_tracking_open(struct request *r)
{
    struct bytes name = r->parameter[0];
    struct tracking_open_in in = { .token = name, .reader = reader_of(r) };

    if (bytes_ends(name, BYTES(".gif")))
        in.token.n -= 4;
    return tracking_open(&r->call, &in, NULL) && answer_text(r, "image/gif", (struct bytes){ point, sizeof point - 1 });
}

bool api_tracking_click(struct request *r)
{
    const struct tracking_click_in in = { .token = r->parameter[0], .reader = reader_of(r) };
    struct tracking_click_out out;

    if (!tracking_click(&r->call, &in, &out))
        return false;
    r->location = out.url;
    r->status = HTTP_FOUND;
    r->type = "text/html; charset=utf-8";
    return true;
}

void public_problem(struct request *r, const char *title, const char *detail)
{
    buf_reset(&r->out);
    r->type = "text/html; charset=utf-8";
    buf_addf(&r->out,
             "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
             "content=\"width=device-width\"><title>%s</title><style>body{font:1em/1.5 "
             "sans-serif;max-width:40em;margin:3em auto;padding:0 1em}</style><h1>%s</h1><p>%s.</p></html>\n",
             title, title, detail);
}
