#include "mail/chars.h"
#include "mail/header.h"

/* RFC 2045 5.1: type "/" subtype *(";" attribute "=" (token / quoted-string)). */

static struct bytes take_token(struct bytes *in)
{
    struct bytes token;
    size_t n = 0;

    while (n < in->n && char_is_token(in->p[n]))
        n++;
    token = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return token;
}

static bool take_char(struct bytes *in, char c)
{
    if (in->n == 0 || in->p[0] != c)
        return false;
    *in = bytes_from(*in, 1);
    return true;
}

static void skip_blanks(struct bytes *in)
{
    while (take_char(in, ' ') || take_char(in, '\t')) {
    }
}

static bool take_quoted(struct bytes *in)
{
    if (!take_char(in, '"'))
        return false;
    while (in->n && in->p[0] != '"') {
        take_char(in, '\\');
        if (in->n == 0 || char_is_control(in->p[0]) || char_is_8bit(in->p[0]))
            return false;
        *in = bytes_from(*in, 1);
    }
    return take_char(in, '"');
}

static bool take_parameter(struct bytes *in, struct bytes *name)
{
    skip_blanks(in);
    if (!take_char(in, ';'))
        return false;
    skip_blanks(in);
    *name = take_token(in);
    return name->n && take_char(in, '=') && (take_quoted(in) || take_token(in).n);
}

static bool take_type(struct bytes *in)
{
    return take_token(in).n && take_char(in, '/') && take_token(in).n;
}

bool media_type_ok(struct bytes type)
{
    struct bytes in = type, name;

    if (!take_type(&in))
        return false;
    while (in.n)
        if (!take_parameter(&in, &name))
            return false;
    return true;
}

bool media_type_has(struct bytes type, const char *parameter)
{
    struct bytes in = type, name;

    for (take_type(&in); in.n && take_parameter(&in, &name);)
        if (bytes_equal_nocase(name, bytes_of(parameter)))
            return true;
    return false;
}

const char *media_type_by_name(struct bytes filename)
{
    static const char *const types[][2] = {
        { ".pdf", "application/pdf" }, { ".txt", "text/plain" },        { ".html", "text/html" },
        { ".csv", "text/csv" },        { ".json", "application/json" }, { ".xml", "application/xml" },
        { ".png", "image/png" },       { ".jpg", "image/jpeg" },        { ".jpeg", "image/jpeg" },
        { ".gif", "image/gif" },       { ".webp", "image/webp" },       { ".svg", "image/svg+xml" },
        { ".zip", "application/zip" }, { ".gz", "application/gzip" },   { ".ics", "text/calendar" },
        { ".eml", "message/rfc822" },  { ".mp3", "audio/mpeg" },        { ".mp4", "video/mp4" },
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_ends_nocase(filename, bytes_of(types[i][0])))
            return types[i][1];
    return "application/octet-stream";
}
