// Options and cancel tokens: values, copies, and what they do to a call.
#include "harness.hpp"

TEST(values_are_set_read_and_checked) {
    znippy::options options;
    CHECK(options.get(ZNIPPY_OPT_LEVEL) == 3);
    options.set(ZNIPPY_OPT_LEVEL, 9).set(ZNIPPY_OPT_THREADS, 1).set(ZNIPPY_OPT_REPO, "label");
    CHECK(options.get(ZNIPPY_OPT_LEVEL) == 9);
    znippy::options copy = options.clone();
    options.set(ZNIPPY_OPT_LEVEL, 1);
    CHECK(copy.get(ZNIPPY_OPT_LEVEL) == 9);
    THROWS(znippy::error, options.set(ZNIPPY_OPT_LEVEL, 1000), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
    THROWS(znippy::error, options.set(9999, 1), caught.status() == ZNIPPY_E_UNSUPPORTED);
    THROWS(znippy::error, options.get(ZNIPPY_OPT_REPO), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
}

TEST(options_reach_the_call) {
    packed fixture;
    znippy::options options;
    options.set(ZNIPPY_OPT_REPO, "shelf").set(ZNIPPY_OPT_OVERWRITE, 1);
    znippy::compress_dir(fixture.tree, fixture.archive, options);
    CHECK(znippy::reader(fixture.archive).metadata("level") == std::optional<std::string_view>("3"));
    THROWS(znippy::error, znippy::compress_dir(fixture.tree, fixture.archive), caught.status() == ZNIPPY_E_EXISTS);
}

TEST(triggered_token_stops_calls) {
    packed fixture;
    znippy::cancel cancel;
    znippy::options options;
    options.cancel_with(cancel);
    znippy::reader reader(fixture.archive, options);
    CHECK(!cancel.is_triggered());
    reader.verify(options);
    cancel.trigger();
    CHECK(cancel.is_triggered());
    THROWS(znippy::error, reader.verify(options), caught.status() == ZNIPPY_E_CANCELLED);
}

TEST(owners_move_and_give_away) {
    znippy::options options;
    options.set(ZNIPPY_OPT_LEVEL, 7);
    znippy::options moved = std::move(options);
    CHECK(moved && moved.get(ZNIPPY_OPT_LEVEL) == 7);
    znippy_options *raw = moved.release();
    CHECK(!moved && raw != nullptr);
    znippy::options back(raw);
    CHECK(back.get(ZNIPPY_OPT_LEVEL) == 7);
}
