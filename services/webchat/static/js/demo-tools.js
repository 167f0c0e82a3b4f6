/** Tools that are offered to a model for show, at /?tools=demo: nothing runs them. */

export const DEMO_TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];
