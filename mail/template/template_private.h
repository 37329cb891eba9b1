/* mail/template/template_private.h - inside mail/template/: tokens, expressions, the program and the state of a
 * rendering. A text becomes tokens (template_lex.c), of which white space is taken (template_space.c), and these a
 * program (template_parse.c, template_expression.c): rows in the order of the text, where a block knows its end. */
#ifndef MAIL_TEMPLATE_PRIVATE_H
#define MAIL_TEMPLATE_PRIVATE_H
#include "mail/template/place.h"
#include "mail/template/template.h"

struct dialect {
    bool expressions; /* arguments, helpers, else, ~, \{{, quoted texts */
    bool mustache; /* {{= =}}, {{< }}, {{$ }}, {{>* }}; names are anything but blanks, looked up through all scopes */
    bool each;     /* {{#each}} without the other blocks */
    bool enters;   /* {{#x}} enters a list once, and true as a value */
    bool falsy;    /* {{#x}}: 0 and "" are false too */
    bool flat;     /* {{{NAME}}} alone, escaped */
    bool silent;   /* lists and objects print nothing */
};

enum token_kind {
    TOKEN_TEXT,
    TOKEN_VALUE, /* {{x}} */
    TOKEN_RAW,   /* {{{x}}}, {{&x}} */
    TOKEN_OPEN,  /* {{#x}} */
    TOKEN_INVERTED,
    TOKEN_ELSE, /* {{else}}, {{else if x}}, {{^}} */
    TOKEN_END,
    TOKEN_PARTIAL,
    TOKEN_PARENT,  /* {{<x}} */
    TOKEN_BLOCK,   /* {{$x}} */
    TOKEN_NOTHING, /* comments, {{= =}} */
};

struct token {
    enum token_kind kind;
    struct bytes text; /* a text; what stands in a tag behind its sign */
    struct bytes was;  /* a text before anything was taken from it */
    size_t at;         /* in the source */
    bool strip_before, strip_after;
    bool alone;      /* on its line */
    bool line_taken; /* of a text: what stood on the line of the tag before it */
    struct bytes indent;
};

static inline bool token_opens(enum token_kind kind)
{
    return kind == TOKEN_OPEN || kind == TOKEN_INVERTED || kind == TOKEN_PARENT || kind == TOKEN_BLOCK;
}

struct tokens {
    struct token *list;
    size_t n, room;
};

enum expression_kind { EXPRESSION_PATH, EXPRESSION_LITERAL, EXPRESSION_CALL };

struct helper;
struct named;

struct expression {
    enum expression_kind kind;
    size_t at;
    struct bytes text; /* of a path, as it was written */
    struct datum literal;
    struct bytes *parts; /* each with a NUL behind it */
    unsigned n_parts, up;
    bool data;   /* @ */
    bool scoped; /* begins with this or . */
    const struct helper *helper;
    struct expression **args;
    unsigned n_args;
    struct named *named;    /* key=value */
    struct bytes params[2]; /* as |x y| */
};

struct named {
    struct bytes name;
    struct expression *value;
    struct named *next;
};

enum op_kind {
    OP_TEXT,
    OP_VALUE,
    OP_IF,
    OP_EACH,
    OP_WITH,
    OP_SECTION,
    OP_PARTIAL,
    OP_PARTIAL_BLOCK, /* {{#> x}}: its text is what the partial's {{> @partial-block}} says, or stands in for a partial
                         that is not there */
    OP_PARTIAL_GIVEN, /* {{> @partial-block}} */
    OP_INLINE,        /* {{#*inline "x"}}: a partial of what is around it */
    OP_PARENT,
    OP_BLOCK,
    OP_CONTENT, /* the body of a layout */
};

struct op {
    enum op_kind kind;
    bool raw;       /* OP_VALUE */
    bool inverted;  /* the part before "else" is for what is false */
    bool zero;      /* OP_IF: 0 is true */
    bool alone;     /* OP_BLOCK: its first line is indented too */
    uint32_t other; /* of a block: where the part behind "else" begins; `end` when there is none */
    uint32_t end;
    size_t at;
    struct bytes text;          /* OP_TEXT; the name of a partial, parent or block; NO_BYTES: the expression says it */
    struct place before, after; /* OP_TEXT in HTML */
    struct expression *expression; /* OP_PARTIAL: its context, may be NULL */
    struct named *named;           /* OP_PARTIAL */
    struct bytes indent;
};

struct template
{
    struct arena *arena;
    struct bytes source, label;
    const struct dialect *dialect;
    enum template_part part;
    bool layout;
    struct op *ops;
    uint32_t n_ops;
    size_t static_bytes;
    struct bytes *names, *partials, *inlines;
    bool *may_lack; /* of each partial */
    size_t n_names, n_partials, n_inlines;
    bool names_all, partials_all;
};

/* Faults: is false. `at` is an offset in the source. */
bool template_fault_at(const struct template *t, size_t at, struct template_fault *fault, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What compiling passes around. */
struct compiling {
    struct template *t;
    const struct template_limits *limits;
    struct template_fault *fault;
    struct arena *scratch;
    struct tokens tokens;
    struct json_object *names, *partials, *inlines; /* sets; of a partial that may lack: true */
    unsigned contexts;                              /* blocks around that change what "this" is */
    bool sendgrid;                                  /* its helpers are known too */
};

bool template_lex(struct compiling *c);
void template_space(struct compiling *c);
bool template_parse(struct compiling *c);
/* Of a tag's text at `at` of the source: a call, or a path when it is one name. `block`: "as |x|" may follow. */
bool template_expression(struct compiling *c, struct bytes text, size_t at, bool block, struct expression **out);
/* The same as context and key=value of a partial, whose name is cut off before. */
bool template_partial_arguments(struct compiling *c, struct bytes text, size_t at, struct op *op);
/* A path of mustache: a.b, ".". */
bool template_mustache_path(struct compiling *c, struct bytes text, size_t at, struct expression **out);
void template_name_note(struct compiling *c, const struct expression *path);

/* Rendering. Scopes and frames lie on the stack of the functions that open them. */
struct scope {
    struct datum self;
    const struct scope *up;
};

struct frame { /* of one turn of a loop: @index … */
    struct datum index, key;
    bool first, last;
    const struct frame *up;
};

struct block_params { /* as |x y| */
    struct bytes names[2];
    struct datum values[2];
    const struct block_params *up;
};

struct handed { /* the text of a block that a partial is handed, and what it was written in */
    const struct template *in;
    uint32_t from, to;
    const struct scope *scope;
    const struct block_params *params;
    const struct handed *handed; /* what @partial-block is there */
};

struct inlined { /* a partial that is there as long as what it stands in runs */
    struct bytes name;
    struct handed body;
    const struct inlined *up;
};

struct given { /* blocks that a {{<parent}} hands over, from the outermost */
    const struct template *in;
    uint32_t from, to;
    struct given *next;
};

struct render {
    const struct template_job *job;
    const struct template_limits *limits;
    struct arena *arena;
    struct buf *out, scratch;
    struct template_report *report;
    struct template_fault *fault;
    const struct template *t; /* the one whose program runs */
    unsigned steps, depth;
    size_t start; /* of what is rendered in out */
    struct datum root;
    const struct scope *scope;
    const struct frame *frame;
    const struct block_params *params;
    struct given *given;
    const struct handed *handed;
    const struct inlined *inlined;
    struct place place;
    struct bytes indent; /* before each line, while partials that stand indented run */
    bool line_start;
};

/* Charges work; false with a fault when there was too much. */
bool render_charge(struct render *r, size_t steps, size_t at);
/* The same for what is printed whole: a list, an object, a long text. */
bool render_charge_print(struct render *r, const struct datum *d, size_t at);
bool render_evaluate(struct render *r, const struct expression *e, struct datum *out);
bool render_call(struct render *r, const struct expression *e, struct datum *out);
/* False with DATUM_MISSING when there is none. */
bool render_lookup(struct render *r, const struct expression *path, struct datum *out);
bool render_failed(struct render *r, size_t at, const char *message);
void render_note(struct render *r, struct bytes *list, size_t *n, struct bytes text); /* each text once */

/* Rows of t, which need not be the program that runs. */
bool render_run(struct render *r, const struct template *t, uint32_t from, uint32_t to);
/* Partials, and what of others' text stands in them (template_partial.c). */
bool render_partial(struct render *r, const struct op *op);
bool render_partial_given(struct render *r, const struct op *op);
bool render_parent(struct render *r, const struct op *op);
bool render_inherited(struct render *r, const struct op *op);
bool render_inlines(struct render *r, const struct template *t, uint32_t from, uint32_t to);

/* A row of the helpers. `named` is asked with helper_named. */
struct helping {
    struct render *r;
    const struct expression *call;
    const struct datum *args;
    size_t n;
};
struct helper {
    const char *name;
    void (*run)(struct helping *h, struct datum *out);
    unsigned least, most; /* arguments */
    bool tolerant;        /* asks whether something is there: what is missing is no warning */
    bool sendgrid;        /* of that dialect alone */
};
const struct helper *helper_find(struct bytes name, bool sendgrid);
bool helper_named(struct helping *h, const char *name, struct datum *out);
struct bytes helper_print(struct helping *h,
                          const struct datum *d); /* as text, in the arena unless it is one already */
void helper_text(struct helping *h, const struct buf *made, struct datum *out); /* a result of its own */
void helper_odd(struct helping *h, struct datum *out); /* the first argument as it is, and a note */

void help_date(struct helping *h, struct datum *out);
void help_number(struct helping *h, struct datum *out);
void help_currency(struct helping *h, struct datum *out);
#endif
