#include "runtime/remote/request_book.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace llmos;

namespace {

using book_type = request_book<std::string, int>;
using events = std::vector<int>;

}  // namespace

TEST_SUITE_BEGIN("runtime.remote.request_book");

TEST_CASE("what comes before the kernel's word is kept for it, in order") {
  book_type book;
  const auto number = book.asked();
  book.keep(request_id{7}, 1);
  book.keep(request_id{7}, 2);
  CHECK(book.find(request_id{7}) == nullptr);
  CHECK(book.taken(number, request_id{7}, "a") == events{1, 2});
  REQUIRE(book.find(request_id{7}) != nullptr);
  CHECK(*book.find(request_id{7}) == "a");
  book.forget(request_id{7});
  CHECK(book.find(request_id{7}) == nullptr);
  CHECK(book.size() == 0);
}

TEST_CASE("what comes of one that was forgotten is dropped, as nobody waits for it") {
  book_type book;
  book.keep(request_id{7}, 1);
  CHECK(book.num_kept() == 0);
}

TEST_CASE("late events do not pile up while others are always being asked for") {
  book_type book;
  auto before = book.asked();
  for (uint64_t i = 1; i <= 1000; ++i) {
    book.keep(request_id{i}, 1);  // of one that was forgotten
    const auto next = book.asked();
    book.refused(before);
    before = next;
    CHECK(book.num_kept() <= 1);
  }
}

TEST_CASE("answers may come in another order than they were asked for") {
  book_type book;
  const auto one = book.asked(), two = book.asked();
  book.keep(request_id{1}, 10);
  book.keep(request_id{2}, 20);
  CHECK(book.taken(two, request_id{2}, "two") == events{20});
  CHECK(book.taken(one, request_id{1}, "one") == events{10});
  CHECK(book.num_kept() == 0);
}

TEST_SUITE_END();
