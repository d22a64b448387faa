// The exceptions a user can meet. what() is one line: what happened, where, what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace realm {

// Anything a user can cause or cure. Whatever else escapes (std::bad_alloc apart) is a bug.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A bundle that is missing, damaged, unsafe or of a newer major format version.
class BundleError : public Error {
public:
    using Error::Error;
};

// A device, runtime or precision that cannot be had, or that failed while running.
class DeviceError : public Error {
public:
    using Error::Error;
};

// A graph that answered NaN or infinity: no map can be made of it.
class AnswerError : public Error {
public:
    using Error::Error;
};

// An image that is missing, unreadable or of an unsupported kind.
class ImageError : public Error {
public:
    using Error::Error;
};

// A description, or a file of descriptions, that cannot be used.
class TextError : public Error {
public:
    using Error::Error;
};

// A window or stride that does not suit the image.
class WindowError : public Error {
public:
    using Error::Error;
};

// An output that cannot be written.
class OutputError : public Error {
public:
    using Error::Error;
};

// A call or a command line that contradicts itself.
class UsageError : public Error {
public:
    using Error::Error;
};

}  // namespace realm
