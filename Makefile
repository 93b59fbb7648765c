# Each target is one tool; what it does is in the script of its name.
.PHONY: demo test drill bench simulation bench-plan fmt lint deny clean-data

demo:       ## build, serve, play one real visit; ONCE=1 ends with DEMO OK, PORT= chooses the port
	@scripts/demo.sh

test:       ## everything CI runs
	@scripts/test.sh

drill:      ## the long drills: faults on both databases, KILLS= of each; clocks, TICKS= of each; changes of signed papers, CHANGES= a file
	@scripts/drill.sh

bench:      ## the benchmarks, each beside a peer
	@scripts/bench.sh

simulation: ## five years of choosing in three ways; redraws docs/selection.svg
	@cargo run --release --locked -p endcheck-tests --bin simulate docs/selection.svg

bench-plan: ## the planner's core on a folder of Solomon's format: INSTANCES= SECONDS= SEEDS=
	@scripts/bench-plan.sh "$(INSTANCES)" "$(or $(SECONDS),2)" "$(or $(SEEDS),5)"

fmt:        ## lay out the sources
	@cargo fmt --all

lint:       ## clippy as CI runs it
	@cargo clippy --workspace --all-targets --locked -- -D warnings

deny:       ## licences, bans and sources, by cargo-deny
	@cargo deny --offline check licenses bans sources

clean-data: ## remove what the demo left
	@rm -rf demo-data
