// Names and literals as SQL text. Names are quoted by one fixed rule, not the server's, so that the
// same table has the same text on every version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farshore::postgres {

std::string quote_identifier(
    std::string_view name);  // only when it must be: orders, "Order", "user"
std::string quote_qualified(std::string_view schema, std::string_view name);  // public.orders
std::string quote_literal(std::string_view text);  // 'it''s', or E'…' when there is a backslash
std::string quote_identifiers(const std::vector<std::string>& names);  // a, "B", c

}  // namespace farshore::postgres
