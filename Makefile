# Apus: `make run` starts the server with the bundled demo model, `make test` runs the whole test suite.

.PHONY: run build release test test-kernels test-neon fuzz fuzz-models coverage lint format smoke bench bench-kernels compare faults \
    faults-short soak soak-short ipc-benchmarks rkllm-library clean help

help:
	@echo "make run      install what is missing, build, start the server with the demo model"
	@echo "make test     install what is missing, run the whole test suite"
	@echo "make test-kernels  compare the instruction sets of this processor, bit for bit"
	@echo "make test-neon     the same with NEON on an emulated processor; installs what is missing"
	@echo "make fuzz     feed ten million hostile messages and rings to the local door, with the address sanitizer: half an hour"
	@echo "make coverage how many lines of each room the tests run"
	@echo "make fuzz-models  load 20,000 hostile model files in confined workers: ten minutes"
	@echo "make release  build the optimised programs into .build/release"
	@echo "make rkllm-library  build librkllmrt.so for programs that were written for the Rockchip NPU"
	@echo "make lint     check the format"
	@echo "make smoke    start the optimised server and talk to it once"
	@echo "make bench    measure the demo model and the server"
	@echo "make bench-kernels  measure the kernels against the machine's peaks; KERNELS=\"avx2 Q4_0\" chooses some"
	@echo "make faults   break the server in every way under load, and count what clients see: an hour"
	@echo "make soak     an hour of mixed traffic: does any process grow?"
	@echo "make faults-short, make soak-short  the same in a minute each"
	@echo "make ipc-benchmarks  measure the local door beside sockets, Node.js and HTTP: two hours; SHORT=1: minutes"
	@echo "make compare  measure the engine against llama.cpp: about an hour, 10 GB; OPTIONS go to the scripts"

run: release
	@exec .build/release/apus serve

release:
	@scripts/setup
	@swift build -c release --product apus-worker
	@swift build -c release --product apus

rkllm-library:
	@scripts/setup
	@scripts/rkllm-library

build:
	@scripts/setup
	@swift build

test:
	@scripts/setup tests
	@scripts/test-python
	@scripts/test

test-kernels:
	@scripts/test-kernels

test-neon:
	@scripts/test-kernels --neon

fuzz:
	@scripts/setup
	@scripts/fuzz

coverage:
	@scripts/setup tests
	@scripts/coverage

fuzz-models: release
	@scripts/fuzz-models

lint:
	@swift format lint --strict --recursive Package.swift Sources Tests Benchmarks examples

format:
	@swift format --in-place --recursive Package.swift Sources Tests Benchmarks examples

smoke: release
	@scripts/smoke

bench: release
	@scripts/measure

bench-kernels:
	@scripts/setup
	@swift build -c release --product apus-benchmarks
	@.build/release/apus-benchmarks kernels $(KERNELS)

compare: release
	@swift build -c release --product apus-benchmarks
	@scripts/compare $(OPTIONS)

faults: release
	@python3 Benchmarks/faults/faults.py --output .build/faults.json --write docs/operations/failures.md
	@python3 Benchmarks/faults/neighbours.py --output .build/neighbours.json --write docs/operations/failures.md

faults-short: release
	@python3 Benchmarks/faults/faults.py --short

soak: release
	@python3 Benchmarks/soak/soak.py --output .build/soak.json --write docs/operations/failures.md \
	    --plot docs/operations/soak.svg

soak-short: release
	@python3 Benchmarks/soak/soak.py --minutes 1 --every 2

ipc-benchmarks: release
	@swift build -c release --product apus-benchmarks
	@python3 Benchmarks/ipc/ipc.py $(if $(SHORT),--short) --write docs/performance/ipc.md $(OPTIONS)

clean:
	@swift package clean
