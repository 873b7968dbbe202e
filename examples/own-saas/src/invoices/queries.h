#pragma once
#include "invoices/model.h"
#include "tables.h"

namespace own_saas::invoices {

struct InvoiceRow : Invoice {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(InvoiceRow, (Invoice), (version))

#define INVOICE_COLUMNS                                                                      \
  "SELECT r.id, r.customer_id, r.number, r.amount, r.due_on, r.status, r.paid_at, "          \
  "r.created_at, r.updated_at, r.deleted_at, r.version FROM invoices r WHERE r.tenant_id = " \
  "$1 "

inline constexpr TenantStatement<InvoiceRow, InvoiceId> kGet{
    "invoices.get", INVOICE_COLUMNS "AND r.id = $2 AND r.deleted_at IS NULL"};
inline constexpr TenantStatement<InvoiceRow, InvoiceId> kLock{
    "invoices.lock", INVOICE_COLUMNS "AND r.id = $2 FOR UPDATE"};
inline constexpr TenantStatement<InvoiceRow, InvoiceId, std::int32_t> kList{
    "invoices.list",
    INVOICE_COLUMNS "AND r.deleted_at IS NULL AND r.id > $2 ORDER BY r.id LIMIT $3"};
// tenant_id comes from the customer's row: the customer must exist, live, and be this tenant's.
inline constexpr TenantStatement<pg::NoRow, InvoiceId, CustomerId, std::string, std::int64_t, Date,
                                 Timestamp>
    kInsert{"invoices.insert",
            "INSERT INTO invoices (tenant_id, id, customer_id, number, amount, due_on, status, "
            "created_at, updated_at) SELECT c.tenant_id, $2, c.id, $4, $5, $6, 'open', $7, $7 FROM "
            "customers c WHERE c.tenant_id = $1 AND c.id = $3 AND c.deleted_at IS NULL"};
inline constexpr TenantStatement<pg::NoRow, InvoiceId, std::string, std::int64_t, Date,
                                 InvoiceStatus, std::optional<Timestamp>, Timestamp,
                                 std::optional<Timestamp>>
    kUpdate{
        "invoices.update",
        "UPDATE invoices AS r SET number = $3, amount = $4, due_on = $5, status = $6, paid_at = "
        "$7, updated_at = $8, deleted_at = $9, version = version + 1 WHERE r.tenant_id = $1 AND "
        "r.id = $2"};

}  // namespace own_saas::invoices
