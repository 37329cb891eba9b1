"""How schemathesis writes a body that is no JSON: as the bytes it made up."""
import schemathesis


@schemathesis.serializer("message/rfc822", "text/csv")
def raw(context, value):
    if isinstance(value, bytes):
        return value
    return value.encode(errors="surrogatepass") if isinstance(value, str) else str(value).encode()
