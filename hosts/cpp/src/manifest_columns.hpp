// The columns that a measure of the manifest lists.
#pragma once

#include <string>

#include "manifest.hpp"

namespace realm {

// Whether a text can name a column, or be one of its words: letters, digits, "-" and "_", a letter first; "_low" and
// "_high" of an interval's ends count.
bool is_name(const std::string& text);

// Fills the columns of a measure, and where their values come from. Throws BundleError.
void parse_columns(const Section& measure, MeasureSpec& into);

}  // namespace realm
