#include "mgmt/api/http.h"

#include <gtest/gtest.h>

namespace penstock::api {
namespace {

TEST(Http, target_is_split_and_decoded) {
  Request request;
  ASSERT_TRUE(parse_target("/v1/flows?client=10.0.0.0%2F8&limit=5&x=a+b", request));
  EXPECT_EQ(request.path, "/v1/flows");
  EXPECT_EQ(request.query.at("client"), "10.0.0.0/8");
  EXPECT_EQ(request.query.at("limit"), "5");
  EXPECT_EQ(request.query.at("x"), "a b");
}

TEST(Http, broken_escapes_are_refused) {
  for (const char* target : {"/%", "/%4", "/%zz", "/a?b=%1"}) {
    Request request;
    EXPECT_FALSE(parse_target(target, request)) << target;
  }
}

TEST(Http, what_a_client_encodes_a_server_decodes) {
  const std::map<std::string, std::string> query{{"service", "[fd00::1]:80"}, {"q", "a b&c=d%+"}};
  Request request;
  ASSERT_TRUE(parse_target(target_of("/v1/flows", query), request));
  EXPECT_EQ(request.query, query);
}

}  // namespace
}  // namespace penstock::api
