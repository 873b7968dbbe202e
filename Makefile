# The scripts by their names. Everything is in scripts/; `make help` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help up test check-infra format deploy plan backup restore-drill test-staging scale

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-34s %s\n", $$1 ($$1 ~ /^(deploy|plan|backup|restore-drill|scale)$$/ ? " ENV=dev" : ""), $$2 }' $(MAKEFILE_LIST)

up: ## set up, build and run the platform here
	scripts/up.sh
test: ## set up, build and run all tests
	scripts/test.sh
check-infra: ## check monitoring, Kubernetes, OpenTofu and scripts, without a cloud
	scripts/check-infra.sh
format: ## format the sources
	scripts/format.sh
plan: ## show what deploying would change
	scripts/deploy.sh $(or $(ENV),$(error ENV=dev, staging or production)) --check
deploy: ## bring an environment to what this checkout says (IMAGE=...@sha256:...)
	scripts/deploy.sh $(or $(ENV),$(error ENV=dev, staging or production)) $(if $(IMAGE),--image $(IMAGE)) $(if $(APPROVE),--approve $(APPROVE))
scale: ## say an environment's sizes; scripts/scale.sh --help changes them
	scripts/scale.sh $(or $(ENV),$(error ENV=dev, staging or production))
backup: ## back an environment's database up now
	scripts/backup.sh $(or $(ENV),$(error ENV=dev, staging or production))
restore-drill: ## restore an environment's database beside it, and look
	scripts/restore-drill.sh $(or $(ENV),$(error ENV=dev, staging or production))
test-staging: ## try staging from outside, as a client and as an attacker
	scripts/test-staging.sh
