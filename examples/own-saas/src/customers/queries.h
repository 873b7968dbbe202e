#pragma once
#include "customers/model.h"
#include "tables.h"

namespace own_saas::customers {

struct CustomerRow : Customer {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(CustomerRow, (Customer), (version))

inline constexpr TenantStatement<CustomerRow, CustomerId> kGet{
    "customers.get",
    "SELECT r.id, r.name, r.email, r.active, r.created_at, r.updated_at, r.deleted_at, r.version "
    "FROM customers r WHERE r.tenant_id = $1 AND r.id = $2 AND r.deleted_at IS NULL"};
inline constexpr TenantStatement<CustomerRow, CustomerId> kLock{
    "customers.lock",
    "SELECT r.id, r.name, r.email, r.active, r.created_at, r.updated_at, r.deleted_at, r.version "
    "FROM customers r WHERE r.tenant_id = $1 AND r.id = $2 FOR UPDATE"};
inline constexpr TenantStatement<CustomerRow, CustomerId, std::int32_t> kList{
    "customers.list",
    "SELECT r.id, r.name, r.email, r.active, r.created_at, r.updated_at, r.deleted_at, r.version "
    "FROM customers r WHERE r.tenant_id = $1 AND r.deleted_at IS NULL AND r.id > $2 ORDER BY r.id "
    "LIMIT $3"};
inline constexpr TenantStatement<pg::NoRow, CustomerId, std::string, std::optional<std::string>,
                                 bool, Timestamp>
    kInsert{"customers.insert",
            "INSERT INTO customers (tenant_id, id, name, email, active, created_at, updated_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $6)"};
inline constexpr TenantStatement<pg::NoRow, CustomerId, std::string, std::optional<std::string>,
                                 bool, Timestamp, std::optional<Timestamp>>
    kUpdate{"customers.update",
            "UPDATE customers AS r SET name = $3, email = $4, active = $5, updated_at = $6, "
            "deleted_at = $7, version = version + 1 WHERE r.tenant_id = $1 AND r.id = $2"};

}  // namespace own_saas::customers
