#pragma once
#include "http/json.h"

namespace own_saas::customers {

using namespace coditect;

struct CustomerTag {
  static constexpr std::string_view prefix = "customer";
};
using CustomerId = Id<CustomerTag>;

struct Customer {
  CustomerId id;
  std::string name;
  std::optional<std::string> email;
  bool active = false;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;

  bool operator==(const Customer&) const = default;
};
BOOST_DESCRIBE_STRUCT(Customer, (), (id, name, email, active, created_at, updated_at, deleted_at))

struct CreateCustomer {
  http::Text<1, 200> name;
  std::optional<http::Text<1, 320>> email;
  bool active;
};
BOOST_DESCRIBE_STRUCT(CreateCustomer, (), (name, email, active))

struct PatchCustomer {
  http::Field<http::Text<1, 200>> name;
  http::Field<std::optional<http::Text<1, 320>>> email;
  http::Field<bool> active;
};
BOOST_DESCRIBE_STRUCT(PatchCustomer, (), (name, email, active))

}  // namespace own_saas::customers
