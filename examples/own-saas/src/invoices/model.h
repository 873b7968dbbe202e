#pragma once
#include "http/json.h"

namespace own_saas::invoices {

using namespace coditect;

struct InvoiceTag {
  static constexpr std::string_view prefix = "invoice";
};
using InvoiceId = Id<InvoiceTag>;

/// Of the customers' slice: slices know each other's ids, not each other's code.
struct CustomerTag {
  static constexpr std::string_view prefix = "customer";
};
using CustomerId = Id<CustomerTag>;

enum class InvoiceStatus { open, paid };
BOOST_DESCRIBE_ENUM(InvoiceStatus, open, paid)

struct Invoice {
  InvoiceId id;
  CustomerId customer_id;
  std::string number;
  std::int64_t amount = 0;  ///< whole minor units: cents
  Date due_on{};
  InvoiceStatus status{};
  std::optional<Timestamp> paid_at;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;

  bool operator==(const Invoice&) const = default;
};
BOOST_DESCRIBE_STRUCT(Invoice, (),
                      (id, customer_id, number, amount, due_on, status, paid_at, created_at,
                       updated_at, deleted_at))

/// What an invoice is over: more than nothing.
using Amount = http::Int<1, 9007199254740991>;

struct CreateInvoice {
  CustomerId customer_id;
  http::Text<1, 40> number;
  Amount amount;
  Date due_on;
};
BOOST_DESCRIBE_STRUCT(CreateInvoice, (), (customer_id, number, amount, due_on))

/// The status changes by a payment only.
struct PatchInvoice {
  http::Field<http::Text<1, 40>> number;
  http::Field<Amount> amount;
  http::Field<Date> due_on;
};
BOOST_DESCRIBE_STRUCT(PatchInvoice, (), (number, amount, due_on))

struct PayInvoice {
  Amount amount;
};
BOOST_DESCRIBE_STRUCT(PayInvoice, (), (amount))

}  // namespace own_saas::invoices
