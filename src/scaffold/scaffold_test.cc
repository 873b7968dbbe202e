#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "scaffold/project.h"

namespace coditect::scaffold {
namespace {

TEST(Fields, AreReadFromOneLine) {
  const auto fields = parse_fields(
      "number:text(40) amount:money due_on:date? status:enum(open, paid)  sent:bool n:int at:time");
  ASSERT_TRUE(fields) << fields.error().detail;
  const std::vector<Field> expected{
      {.name = "number", .max_length = 40},
      {.name = "amount", .type = FieldType::money},
      {.name = "due_on", .type = FieldType::date, .optional = true},
      {.name = "status", .type = FieldType::enumeration, .values = {"open", "paid"}},
      {.name = "sent", .type = FieldType::boolean},
      {.name = "n", .type = FieldType::integer},
      {.name = "at", .type = FieldType::time}};
  EXPECT_EQ(*fields, expected);
}

TEST(Fields, RefuseWhatCannotBeANameOrAType) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "needs a field"},          {"number", "name:type"},
      {"Number:text", "lower-case"},  {"9a:text", "lower-case"},
      {"a-b:text", "lower-case"},     {"a:txt", "none of text"},
      {"a:text(0)", "1 to 10000"},    {"a:text(", "not closed"},
      {"a:text()", "empty"},          {"a:int(3)", "no brackets"},
      {"a:enum", "its values"},       {"a:enum(x,x)", "twice"},
      {"a:enum(new)", "reserved"},    {"a:enum(x,)", "missing"},
      {"a:int a:text", "twice"},      {"id:text", "already"},
      {"tenant_id:int", "already"},   {"class:text", "reserved"},
      {"select:text", "reserved"},    {"user:text", "reserved"},
      {"verbose:text", "reserved"},   {"current_user:text", "reserved"},
      {"wchar_t:int", "reserved"},    {"tag:enum(a,b)", "another name"},
      {"a\";drop:text", "lower-case"}};
  for (const auto& [text, words] : cases) {
    const auto fields = parse_fields(text);
    ASSERT_FALSE(fields) << text;
    EXPECT_TRUE(fields.error().detail.contains(words)) << text << ": " << fields.error().detail;
  }
}

TEST(Names, HaveASingular) {
  for (const auto& [plural, singular] : {std::pair{"invoices", "invoice"},
                                         {"companies", "company"},
                                         {"boxes", "box"},
                                         {"addresses", "address"},
                                         {"orders", "order"}})
    EXPECT_EQ(parse_name(plural, "")->singular, singular);
  EXPECT_EQ(parse_name("news", "news_item")->type, "NewsItem");
  for (const char* bad :
       {"", "Invoices", "in voices", "../x", "auth", "pages", "dates", "_x", "x_"})
    EXPECT_FALSE(parse_name(bad, "")) << bad;
}

/// A small tree with what Project looks for.
class ProjectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(top_ + "/migrations/cell");
    std::filesystem::create_directories(top_ + "/src/deep/er");
    write("src/tables.h",
          "namespace own_saas {\n      // new tables of tenants above this line\n}\n");
    write("src/application.cc",
          "#include \"application.h\"\n\nf() {\n  // new slices above this line\n}\n");
    write("CMakeLists.txt", "  # new slices above this line\n  # new tests above this line\n");
    write("migrations/cell/0007_x.sql", "");
  }
  void TearDown() override { std::filesystem::remove_all(top_); }
  void write(const std::string& path, const std::string& text) {
    std::ofstream(top_ + "/" + path) << text;
  }
  std::string read(const std::string& path) {
    std::ifstream in(top_ + "/" + path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const std::string top_ =
      std::filesystem::temp_directory_path() / ("coditect-scaffold-" + std::to_string(getpid()));
  const SliceName name_ = *parse_name("invoices", "");
  const std::vector<Field> fields_ = *parse_fields("number:text paid:bool");
};

TEST_F(ProjectTest, ASliceIsWrittenAndEntersTheListsOfTheProject) {
  const auto project = Project::find(top_ + "/src/deep/er");
  EXPECT_TRUE(project.is_application());
  project.apply(project.plan(name_, fields_));
  EXPECT_TRUE(read("src/tables.h")
                  .contains("      Table{\"invoices\", Kind::tenant},\n      // new tables"));
  EXPECT_TRUE(read("src/application.cc").contains("#include \"invoices/handlers.h\"\n"));
  EXPECT_TRUE(
      read("src/application.cc").contains("  out.slices.push_back(invoices::add_routes);\n"));
  EXPECT_EQ(read("CMakeLists.txt"),
            "  src/invoices/handlers.cc\n  # new slices above this line\n"
            "  src/invoices/invoices_dbtest.cc\n  # new tests above this line\n");
  EXPECT_TRUE(
      read("migrations/cell/0008_invoices.sql").contains("coditect.tenant_table('invoices')"));
  EXPECT_TRUE(read("src/invoices/queries.h").contains("namespace own_saas::invoices"));
  EXPECT_THROW(project.plan(name_, fields_), Failure);  // it exists
}

TEST_F(ProjectTest, NothingIsWrittenWhenALineToAddAtIsMissing) {
  write("CMakeLists.txt", "nothing here\n");
  EXPECT_THROW(Project::find(top_).plan(name_, fields_), Failure);
  EXPECT_FALSE(std::filesystem::exists(top_ + "/src/invoices"));
}

TEST_F(ProjectTest, APlatformsTableIsNoNewSlice) {
  EXPECT_THROW(Project::find(top_).plan(*parse_name("tasks", ""), fields_), Failure);
}

TEST(Project, IsLookedForUpwardsAndMissed) { EXPECT_THROW(Project::find("/proc/self"), Failure); }

}  // namespace
}  // namespace coditect::scaffold
