"""Where panels turn red. Pure data: the objectives of deploy/prometheus/objectives.py, and what its alerts wait for."""

from typing import Final

from deploy.grafana.panel import Limit
from deploy.prometheus.objectives import FAST, OBJECTIVES, TTFT_S

AVAILABILITY, TTFT, SMOOTHNESS = OBJECTIVES

# What people are promised.
BUDGET_LEFT: Final = Limit(0, "LLMAvailabilityBudgetBurn", low=True)
FAILED: Final = Limit(AVAILABILITY.budget, "LLMAvailabilityBudgetBurn")
FIRST_TOKEN: Final = Limit(TTFT_S, "LLMTtftBudgetBurn")
STANDING_STILL: Final = Limit(SMOOTHNESS.budget, "LLMSmoothnessBudgetBurn")
BURN: Final = Limit(FAST[0].factor, "LLMAvailabilityBudgetBurn")
# What a good answer is at the gateway (gateway/relay/goodput.py): 20 tokens a second, some three times a reader's pace.
TIME_PER_TOKEN_S: Final = 0.05
TIME_PER_TOKEN: Final = Limit(TIME_PER_TOKEN_S)
PACE: Final = Limit(1 / TIME_PER_TOKEN_S, low=True)
GOOD: Final = Limit(TTFT.target, "LLMTtftBudgetBurn", low=True)
"""A good answer keeps every promise: as many are owed as of the one that is owed to the fewest."""

# What alerts wait for (deploy/prometheus/rules/alerts.yml).
ADDED: Final = Limit(0.01, "LLMAddedLatencyHigh")
REACHED: Final = Limit(1, "LLMUpstreamDown", low=True)
COLD_LOADS: Final = Limit(0.2, "LLMModelThrash")
PERMITS: Final = Limit(0.9, "LLMAdmissionSaturated")
BREAKERS: Final = Limit(2, "LLMCircuitOpen")
GOING_ON: Final = Limit(0.1, "LLMFallbacks")
PROVIDER_KEYS: Final = Limit(1, "LLMProviderKeyBad", low=True)
TOOL_SERVERS: Final = Limit(1, "LLMToolServerDown", low=True)
STORE_AWAY: Final = Limit(1, "LLMStoreAway")
STORE_FULL: Final = Limit(64 << 20, "LLMStoreLosesRows")
STOPPING: Final = Limit(0.25, "LLMSlowCancel")
LOOP_LAG: Final = Limit(0.05, "LLMEventLoopLag")
OPEN_FILES: Final = Limit(0.8, "LLMFdHeadroom")
BLOCKED: Final = Limit(2, "LLMSlowReaders")
SAMPLES: Final = Limit(16_000, "LLMSeriesGrowth")
