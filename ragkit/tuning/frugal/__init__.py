"""FrugalRAG's training of agents: what a search brought, exploration, demonstrations, the reward of stopping."""
