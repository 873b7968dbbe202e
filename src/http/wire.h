#pragma once
#include <string>
#include <string_view>

#include "http/message.h"

/// HTTP/1.1 on the wire: what the parser does not look at, and the head of an answer.
namespace coditect::http {

/// Whether the request line ends in HTTP/digit.digit and CRLF: another version, not garbage.
bool names_a_version(std::string_view bytes);

/// RFC 9112 section 5.2 lets a server refuse line folding, which parsers read in different ways.
/// The parser takes the header in one piece, so that all of it is at hand.
bool has_folded_header(std::string_view bytes);

/// Status line and headers, up to the empty line.
void write_head(std::string& out, const Response& response, bool keep_alive,
                const Request& request);

/// A header field value may hold no control characters: an answer that would is a bug of ours.
bool headers_are_safe(const Response& response);

}  // namespace coditect::http
